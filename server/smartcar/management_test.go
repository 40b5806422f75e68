package smartcar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
	"plugbeat/vehicle"
)

const connectionsPath = "/v2.0/management/connections"

// Every connection is on one page exactly, whatever the pages' size, also while others
// come and go.
func TestManagementConnectionsPage(t *testing.T) {
	var vs []vehicle.Vehicle
	for i := range 7 {
		vs = append(vs, vehicle.Vehicle{ID: uuid.New(), Source: "sim", Mode: vehicle.ModeLive, ConnectedAt: servertest.Noon.Add(time.Duration(i/2) * time.Millisecond)})
	}
	addr := servertest.Serve(t, servertest.NewServer(t, servertest.NewWorld(t, vs...)).Public())
	for limit := 1; limit <= 8; limit++ {
		var seen []string
		at, cursor := "9", ""
		for {
			a := servertest.Exchange(t, addr, "GET", fmt.Sprintf("%s/?limit=%d&cursor=%s", connectionsPath, limit, cursor), servertest.BasicOf("default", servertest.Management), "")
			body := servertest.WellFormed(t, a)
			if a.Status != 200 {
				t.Fatal(a.Body)
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
	other := vehicle.Vehicle{ID: servertest.VehicleB, Source: "sim", Mode: vehicle.ModeSimulated, ConnectedAt: servertest.Noon}
	w := servertest.NewWorld(t, other, vehicle.Vehicle{ID: servertest.VehicleA, Source: "sim", Connection: owner.String(),
		Mode: vehicle.ModeLive, ConnectedAt: servertest.Noon.Add(1500 * time.Microsecond)})
	s := servertest.NewServer(t, w, func(o *server.Options) { o.ManagementTokenNext = []byte("amt-for-tests-0002") })
	addr := servertest.Serve(t, s.Public())
	a := `{"userId":"` + owner.String() + `","vehicleId":"` + servertest.VehicleA.String() + `"`
	b := `{"userId":"` + web.UserOf(servertest.NoID, other).String() + `","vehicleId":"` + servertest.VehicleB.String() + `"`
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
		{"GET", "", servertest.BasicOf("default", servertest.Management), 200, list(2, listA, listB)},
		{"GET", "", servertest.BasicOf("default", "amt-for-tests-0002"), 200, list(2, listA, listB)},
		{"GET", "user_id=" + owner.String(), servertest.BasicOf("default", servertest.Management), 200, list(1, listA)},
		{"GET", "vehicle_id=" + servertest.VehicleB.String() + "&flags=a:b", servertest.BasicOf("default", servertest.Management), 200, list(1, listB)},
		{"GET", "mode=simulated", servertest.BasicOf("default", servertest.Management), 200, list(1, listB)},
		{"GET", "mode=test", servertest.BasicOf("default", servertest.Management), 200, list(0)},
		{"GET", "vehicle_id=" + servertest.NoID.String(), servertest.BasicOf("default", servertest.Management), 200, list(0)},
		{"GET", "mode=fast", servertest.BasicOf("default", servertest.Management), 400, ""},
		{"GET", "cursor=x", servertest.BasicOf("default", servertest.Management), 400, ""},
		{"GET", "limit=0", servertest.BasicOf("default", servertest.Management), 400, ""},
		{"GET", "user_id=x", servertest.BasicOf("default", servertest.Management), 400, ""},
		{"GET", "", servertest.BasicOf("other", servertest.Management), 401, ""},
		{"GET", "", servertest.BasicOf("default", "wrong"), 401, ""},
		{"GET", "", servertest.BasicOf("default", servertest.AllToken), 401, ""},
		{"GET", "", servertest.BearerOf(servertest.Management), 401, ""},
		{"GET", "", nil, 401, ""},
		{"DELETE", "", servertest.BasicOf("default", servertest.Management), 400, ""},
		{"DELETE", "mode=live", servertest.BasicOf("default", servertest.Management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=" + servertest.VehicleB.String(), servertest.BasicOf("default", servertest.Management), 200, gone()},
		{"DELETE", "vehicle_id=" + servertest.NoID.String(), servertest.BasicOf("default", servertest.Management), 200, gone()},
		// A filter that says nothing takes nobody away.
		{"GET", "vehicle_id=" + uuid.Nil.String(), servertest.BasicOf("default", servertest.Management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=" + uuid.Nil.String(), servertest.BasicOf("default", servertest.Management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=", servertest.BasicOf("default", servertest.Management), 400, ""},
		{"DELETE", "user_id=&vehicle_id=" + servertest.VehicleB.String(), servertest.BasicOf("default", servertest.Management), 400, ""},
		{"DELETE", "user_id=" + owner.String() + "&vehicle_id=" + servertest.NoID.String() + "&vehicle_id=" + servertest.VehicleB.String(), servertest.BasicOf("default", servertest.Management), 400, ""},
		{"DELETE", "vehicle_id=" + servertest.VehicleB.String(), servertest.BasicOf("default", "wrong"), 401, ""},
		{"DELETE", "user_id=" + owner.String(), servertest.BasicOf("default", servertest.Management), 200, gone(a + "}")},
		{"DELETE", "vehicle_id=" + servertest.VehicleB.String(), servertest.BasicOf("default", servertest.Management), 200, gone(b + "}")},
	}
	for _, tt := range tests {
		got := servertest.Exchange(t, addr, tt.method, connectionsPath+"?"+tt.query, tt.header, "{}")
		servertest.WellFormed(t, got)
		if got.Status != tt.status || tt.want != "" && got.Body != tt.want {
			t.Errorf("%s %s: %d %s\nwant %d %s", tt.method, tt.query, got.Status, got.Body, tt.status, tt.want)
		}
		if got.Status == 401 && !strings.HasPrefix(strings.Join(got.Header["www-authenticate"], ""), "Basic") {
			t.Errorf("%v", got.Header)
		}
	}
	if len(w.Disconnected) != 2 {
		t.Errorf("disconnected %v", w.Disconnected)
	}
}
