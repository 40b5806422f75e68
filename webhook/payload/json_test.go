package payload

import (
	"errors"
	"math"
	"testing"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name string
		v    Value
		want string
	}{
		{"null", nil, `null`},
		{"booleans", Array(Bool(true), Bool(false)), `[true,false]`},
		{"empty", Array(Object(), Array(), String("")), `[{},[],""]`},
		{"order kept", Object(Member{"b", Int(1)}, Member{"a", Int(2)}), `{"b":1,"a":2}`},
		{"no html escaping", String("<a href=\"x\">&'/"), `"<a href=\"x\">&'/"`},
		{"line separators raw", String("a\u2028b\u2029"), "\"a\u2028b\u2029\""},
		{"non-ascii raw", String("Zoë \U0001F697"), "\"Zoë \U0001F697\""},
		{"control characters", String("\b\f\n\r\t\x00\x01\x0b\x1f\x7f\\"), `"\b\f\n\r\t\u0000\u0001\u000b\u001f` + "\x7f" + `\\"`},
		{"invalid utf-8", String("a\xffb\xed\xa0\x80"), "\"a\uFFFDb\uFFFD\""},
		{"invalid utf-8 in a key", Object(Member{"\xff", Null()}), "{\"\uFFFD\":null}"},
		{"whole numbers", Array(Number(275), Number(275.00001), Int(-7)), `[275,275,-7]`},
		{"negative zero", Array(Number(math.Copysign(0, -1)), Number(-0.00001), Coordinate(-0.0000001)), `[0,0,0]`},
		{"4 decimals", Array(Number(0.1+0.2), Number(1.23456), Number(-178.648001)), `[0.3,1.2346,-178.648]`},
		{"6 decimals", Array(Coordinate(52.36761249), Coordinate(-4.0000006)), `[52.367612,-4.000001]`},
		{"near zero", Array(Number(0.00009), Number(0.0001), Coordinate(0.000099), Coordinate(0.000101)), `[0.0001,0.0001,0,0.000101]`},
		{"largest", Array(Int(maxSafe), Int(-maxSafe), Number(maxSafe)), `[9007199254740991,-9007199254740991,9007199254740991]`},
		{"no exponent", Array(Number(1e15), Number(123456789012.3456)), `[1000000000000000,123456789012.3456]`},
		{"almost an index", Object(Member{"", Null()}, Member{"1a", Null()}, Member{"-1", Null()}, Member{"1.5", Null()}), `{"":null,"1a":null,"-1":null,"1.5":null}`},
	} {
		got, err := Append([]byte("x"), c.v)
		if err != nil || string(got) != "x"+c.want {
			t.Errorf("%s: got %s, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		v    Value
		want error
	}{
		{"nan", Number(math.NaN()), errNumber},
		{"infinity", Coordinate(math.Inf(-1)), errNumber},
		{"beyond 2^53", Number(1 << 53), errNumber},
		{"int beyond 2^53", Int(1 << 53), errNumber},
		{"int that would round", Int(-(1<<53 + 1)), errNumber},
		{"duplicate", Object(Member{"a", Null()}, Member{"b", Null()}, Member{"a", Null()}), errDuplicate},
		{"duplicate once valid", Object(Member{"\xff", Null()}, Member{"\xfe", Null()}), errDuplicate},
		{"index", Object(Member{"10", Null()}), errIndexKey},
		{"leading zero", Object(Member{"007", Null()}), errIndexKey},
		{"deep", Array(Object(Member{"k", Array(Number(math.NaN()))})), errNumber},
	} {
		got, err := Append([]byte("before"), c.v)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
		if string(got) != "before" {
			t.Errorf("%s: dst became %q", c.name, got)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		` {"b" : 1.50, "a":[ 1e3 , -0, 1E-9, "\u0026\/\u00e9" ] , "n":null,"t":true} `: `{"b":1.5,"a":[1000,0,0,"&/é"],"n":null,"t":true}`,
		`"\ud800"`: "\"\uFFFD\"",
		`[]`:       `[]`,
	} {
		v, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := Append(nil, v); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
	deep := make([]byte, 0, 2000)
	for range 1000 {
		deep = append(deep, '[')
	}
	for _, text := range []string{``, `{`, `{"a"}`, `[1`, `1 2`, `{"a":1,}`, `nul`, `<html>`, `1e999`, string(deep)} {
		if v, err := Parse([]byte(text)); err == nil {
			t.Errorf("%.20s: parsed as %v", text, v)
		}
	}
}
