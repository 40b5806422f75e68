package oauth

import (
	"testing"
	"time"
)

// The number of open connects is bounded, and those that are long over make room.
func TestConnectsAreBounded(t *testing.T) {
	var cs Connects
	noon := time.Now()
	for range maxConnects {
		if c, _ := cs.add("sim", false, noon); c == nil {
			t.Fatal("no room")
		}
	}
	if c, _ := cs.add("sim", false, noon); c != nil {
		t.Error("there is no bound")
	}
	if c, _ := cs.add("sim", false, noon.Add(connectLife+connectKept+1)); c == nil || len(cs.all) != 1 {
		t.Error(c, len(cs.all))
	}
}
