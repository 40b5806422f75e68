package server

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

func basicOf(user, password string) [][2]string {
	return [][2]string{{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
}

const connectionsPath = "/v2.0/management/connections"

// Every connection is on one page exactly, whatever the pages' size, also while others
// come and go.
func TestManagementConnectionsPage(t *testing.T) {
	w := newWorld()
	w.cars = nil
	for i := range 7 {
		w.cars = append(w.cars, vehicle.Vehicle{ID: uuid.New(), Source: "sim", Mode: vehicle.ModeLive, ConnectedAt: noon.Add(time.Duration(i/2) * time.Millisecond)})
	}
	addr := serve(t, newServer(t, w).Public())
	for limit := 1; limit <= 8; limit++ {
		var seen []string
		at, cursor := "9", ""
		for {
			a := exchange(t, addr, "GET", fmt.Sprintf("%s/?limit=%d&cursor=%s", connectionsPath, limit, cursor), basicOf("default", management), "")
			body := wellFormed(t, a)
			if a.status != 200 {
				t.Fatal(a.body)
			}
			for _, it := range body["connections"].([]any) {
				c := it.(map[string]any)
				if next := c["connectedAt"].(string); next > at {
					t.Error("not the newest first")
				} else {
					at = next
				}
				seen = append(seen, c["vehicleId"].(string))
			}
			next := body["paging"].(map[string]any)["cursor"]
			if next == nil {
				break
			}
			cursor = next.(string)
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != 7 {
			t.Errorf("limit %d: %d of 7", limit, len(seen))
		}
	}
}

func TestManagementConnections(t *testing.T) {
	owner := uuid.New()
	w := newWorld()
	w.cars[0].Connection, w.cars[0].ConnectedAt, w.cars[0].Mode = owner.String(), noon.Add(1500*time.Microsecond), vehicle.ModeLive
	w.cars[1].ConnectedAt = noon
	s := newServer(t, w)
	s.ManagementTokenNext = []byte("amt-for-tests-0002")
	addr := serve(t, s.Public())
	a := `{"userId":"` + owner.String() + `","vehicleId":"` + carA.String() + `"`
	b := `{"userId":"` + s.userOf(w.cars[1]).String() + `","vehicleId":"` + carB.String() + `"`
	listA, listB := a+`,"connectedAt":"2026-05-01T12:00:00.001Z","mode":"live"}`, b+`,"connectedAt":"2026-05-01T12:00:00.000Z","mode":"simulated"}`
	list := func(n int, items ...string) string {
		return fmt.Sprintf(`{"connections":[%s],"paging":{"cursor":null,"count":%d}}`, strings.Join(items, ","), n)
	}
	gone := func(items ...string) string {
		return `{"connections":[` + strings.Join(items, ",") + `]}`
	}
	tests := []struct {
		method, query string
		header        [][2]string
		status        int
		want          string
	}{
		{"GET", "", basicOf("default", management), 200, list(2, listA, listB)},
		{"GET", "", basicOf("default", "amt-for-tests-0002"), 200, list(2, listA, listB)},
		{"GET", "user_id=" + owner.String(), basicOf("default", management), 200, list(1, listA)},
		{"GET", "vehicle_id=" + carB.String() + "&flags=a:b", basicOf("default", management), 200, list(1, listB)},
		{"GET", "mode=simulated", basicOf("default", management), 200, list(1, listB)},
		{"GET", "mode=test", basicOf("default", management), 200, list(0)},
		{"GET", "vehicle_id=" + noID.String(), basicOf("default", management), 200, list(0)},
		{"GET", "mode=fast", basicOf("default", management), 400, ""},
		{"GET", "cursor=x", basicOf("default", management), 400, ""},
		{"GET", "limit=0", basicOf("default", management), 400, ""},
		{"GET", "user_id=x", basicOf("default", management), 400, ""},
		{"GET", "", basicOf("other", management), 401, ""},
		{"GET", "", basicOf("default", "wrong"), 401, ""},
		{"GET", "", basicOf("default", allToken), 401, ""},
		{"GET", "", bearerOf(management), 401, ""},
		{"GET", "", nil, 401, ""},
		{"DELETE", "", basicOf("default", management), 400, ""},
		{"DELETE", "mode=live", basicOf("default", management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=" + carB.String(), basicOf("default", management), 200, gone()},
		{"DELETE", "vehicle_id=" + noID.String(), basicOf("default", management), 200, gone()},
		// A filter that says nothing takes nobody away.
		{"GET", "vehicle_id=" + uuid.Nil.String(), basicOf("default", management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=" + uuid.Nil.String(), basicOf("default", management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=", basicOf("default", management), 400, ""},
		{"DELETE", "user_id=&vehicle_id=" + carB.String(), basicOf("default", management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=" + noID.String() + "&vehicle_id=" + carB.String(), basicOf("default", management), 400, ""},
		{"DELETE", "vehicle_id=" + carB.String(), basicOf("default", "wrong"), 401, ""},
		{"DELETE", "user_id=" + owner.String(), basicOf("default", management), 200, gone(a + "}")},
		{"DELETE", "vehicle_id=" + carB.String(), basicOf("default", management), 200, gone(b + "}")},
	}
	for _, tt := range tests {
		got := exchange(t, addr, tt.method, connectionsPath+"?"+tt.query, tt.header, "{}")
		wellFormed(t, got)
		if got.status != tt.status || tt.want != "" && got.body != tt.want {
			t.Errorf("%s %s: %d %s\nwant %d %s", tt.method, tt.query, got.status, got.body, tt.status, tt.want)
		}
		if got.status == 401 && !strings.HasPrefix(strings.Join(got.header["www-authenticate"], ""), "Basic") {
			t.Errorf("%v", got.header)
		}
	}
	if len(w.disconnected) != 2 {
		t.Errorf("disconnected %v", w.disconnected)
	}
}
