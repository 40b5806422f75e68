package smartcar

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"plugbeat/server/web"
	"plugbeat/webhook/payload"
)

// unitSystem reads SC-Unit-System; metric where the header is missing.
func unitSystem(h http.Header) (string, error) {
	units := payload.Metric
	for i, v := range h.Values("Sc-Unit-System") {
		v = strings.TrimSpace(v)
		if v != payload.Metric && v != payload.Imperial || i > 0 && v != units {
			return "", web.Validation("SC-Unit-System is metric or imperial.", "sc-unit-system")
		}
		units = v
	}
	return units, nil
}

func pathID(c *call, name string) (uuid.UUID, error) {
	id, ok := web.ParseID(c.PathValue(name))
	if !ok {
		return uuid.Nil, web.Validation("The "+name+" id is not a UUID.", name+"_id")
	}
	return id, nil
}

// success is the plain answer of what gives nothing back.
var success = payload.Object(payload.Member{Key: "status", Value: payload.String("success")})

// listOf answers with a list of texts, cut as `limit` (default 10, at most 50) and
// `offset` say. The count of its paging is that of the whole list.
func listOf[T any](c *call, name string, items []T, text func(T) string) (reply, error) {
	q := c.URL.Query()
	limit, err := number(q.Get("limit"), "limit", 10, 1)
	if err != nil {
		return reply{}, err
	}
	offset, err := number(q.Get("offset"), "offset", 0, 0)
	if err != nil {
		return reply{}, err
	}
	paging := payload.Object(
		payload.Member{Key: "count", Value: payload.Int(int64(len(items)))},
		payload.Member{Key: "offset", Value: payload.Int(int64(offset))},
	)
	items = items[min(offset, len(items)):]
	items = items[:min(limit, 50, len(items))]
	values := make([]payload.Value, len(items))
	for i, it := range items {
		values[i] = payload.String(text(it))
	}
	return reply{body: payload.Object(
		payload.Member{Key: name, Value: payload.Array(values...)},
		payload.Member{Key: "paging", Value: paging},
	)}, nil
}

func number(s, name string, otherwise, least int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > math.MaxInt32 {
		return 0, web.Validation(fmt.Sprintf("%s is a whole number from %d.", name, least), name)
	}
	return n, nil
}
