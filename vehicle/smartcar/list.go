package smartcar

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"plugbeat/vehicle"
)

// get reads one JSON object of the API into v.
func (a *api) get(ctx context.Context, connection, path string, v any) error {
	ans, err := a.call(ctx, connection, request{client: a.keep, method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	if !ans.ok() {
		return ans.fault()
	}
	if _, err := parseObject(ans.body); err != nil {
		return vehicle.InvalidData("Smartcar answered " + err.Error())
	}
	if err := json.Unmarshal(ans.body, v); err != nil {
		return vehicle.InvalidData("Smartcar answered JSON of another shape than expected")
	}
	return nil
}

// pages reads a paged list of strings to its end, each once.
func (a *api) pages(ctx context.Context, connection, path, member string, most int) ([]string, error) {
	var all []string
	seen := map[string]bool{}
	for offset := 0; offset < most; {
		var body map[string]json.RawMessage
		if err := a.get(ctx, connection, fmt.Sprintf("%s?limit=%d&offset=%d", path, pageSize, offset), &body); err != nil {
			return nil, err
		}
		var page []json.RawMessage
		if err := json.Unmarshal(body[member], &page); err != nil || body[member] == nil {
			return nil, vehicle.InvalidData(fmt.Sprintf("Smartcar answered %s without a list of %s", path, member))
		}
		var paging struct {
			Count int `json:"count"`
		}
		before := len(all)
		raw := body["paging"]
		if raw != nil {
			if err := json.Unmarshal(raw, &paging); err != nil {
				return nil, vehicle.InvalidData(fmt.Sprintf("Smartcar answered %s with paging that is not valid", path))
			}
		}
		for _, item := range page {
			var one string
			if json.Unmarshal(item, &one) != nil || one == "" || len(one) > 200 {
				a.log.Warn().Str("event", "source.item_refused").Str("connection", connection).Str("text", clean(string(item[:min(len(item), 100)]))).
					Msg("an item of a list at the vendor is not valid, the others are taken")
				continue
			}
			if !seen[one] {
				seen[one] = true
				all = append(all, one)
			}
		}
		offset += len(page)
		// A full page without a count may have another after it; one that brings nothing new
		// would come again for ever.
		if raw != nil && offset >= paging.Count || raw == nil && len(page) < pageSize || len(all) == before {
			return all, nil
		}
	}
	return all, nil
}
