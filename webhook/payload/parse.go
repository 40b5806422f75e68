package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxDepth bounds the nesting that Parse takes.
const maxDepth = 64

var errDepth = errors.New("nested too deeply")

// Parse reads JSON text into a Value, keeping the order of keys. Numbers are of type
// [Number]. Parse exists for text that came from elsewhere: such text is
// never passed on as it is, since its spelling of numbers and characters need not be
// canonical. What it returns can still be refused by [Append] (duplicate keys,
// keys like array indexes, huge numbers).
func Parse(text []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("parse json: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse json: text after the value")
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (Value, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case bool:
		return Bool(t), nil
	case string:
		return String(t), nil
	case json.Number:
		f, err := strconv.ParseFloat(t.String(), 64)
		if err != nil {
			return nil, fmt.Errorf("number %s: %w", t, errNumber)
		}
		return Number(f), nil
	case json.Delim:
		if depth == 0 {
			return nil, errDepth
		}
		if t == '[' {
			return parseArray(d, depth-1)
		}
		return parseObject(d, depth-1)
	}
	return nil, nil
}

func parseArray(d *json.Decoder, depth int) (Value, error) {
	items := array{}
	for d.More() {
		v, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	_, err := d.Token()
	return items, err
}

func parseObject(d *json.Decoder, depth int) (Value, error) {
	members := object{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := parseValue(d, depth)
		if err != nil {
			return nil, err
		}
		members = append(members, Member{key.(string), v}) // the decoder takes only string keys
	}
	_, err := d.Token()
	return members, err
}
