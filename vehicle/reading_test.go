package vehicle

import (
	"encoding/json"
	"testing"
	"time"
)

func TestSnapshotJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := Snapshot{
		Charge:  Reading[Charge]{OK: true, Value: Charge{State: NotCharging, Plug: Unplugged}, FetchedAt: at},
		Battery: Reading[Battery]{Fault: NoResponse("nobody"), FetchedAt: at},
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var shape map[string]map[string]any
	if err := json.Unmarshal(b, &shape); err != nil {
		t.Fatal(err)
	}
	if _, there := shape["location"]; there {
		t.Errorf("a path that was not asked for is shown: %s", b)
	}
	if _, there := shape["battery"]["value"]; there || shape["battery"]["fault"] == nil {
		t.Errorf("a fault has a value, or no fault: %s", b)
	}
	if shape["charge"]["value"] == nil {
		t.Errorf("the value is missing: %s", b)
	}
	var back Snapshot
	if err := json.Unmarshal(b, &back); err != nil || back.Charge != s.Charge || back.Battery.Fault.Error() != s.Battery.Fault.Error() || back.Location.Asked() {
		t.Errorf("%+v %v", back, err)
	}
}
