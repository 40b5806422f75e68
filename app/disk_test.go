package app

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"plugbeat/store"
	"plugbeat/webhook"
)

// A disk that becomes nearly full is told of once, and once more when there is room
// again; what the store tells of itself is not told twice.
func TestWatchDisk(t *testing.T) {
	log := &lines{}
	var disk store.Disk
	var fail error
	watch := watchDisk(func(context.Context) (store.Disk, error) { return disk, fail }, zerolog.New(log))
	for _, c := range []struct {
		state webhook.DiskState
		fail  error
		told  string
	}{
		{webhook.DiskOK, nil, ""},
		{webhook.DiskNearlyFull, nil, "nearly_full"},
		{webhook.DiskNearlyFull, nil, "nearly_full"},
		{webhook.DiskFull, nil, "nearly_full"},
		{webhook.DiskOK, errors.New("closed"), "nearly_full"},
		{webhook.DiskNearlyFull, nil, "nearly_full"},
		{webhook.DiskOK, nil, "nearly_full space_back"},
		{webhook.DiskReadOnly, nil, "nearly_full space_back"},
		{webhook.DiskOK, nil, "nearly_full space_back"},
		{webhook.DiskNearlyFull, nil, "nearly_full space_back nearly_full"},
	} {
		disk.State, fail = c.state, c.fail
		watch(t.Context())
		var told []string
		for _, m := range regexp.MustCompile(`"event":"store\.(\w+)"`).FindAllStringSubmatch(log.String(), -1) {
			told = append(told, m[1])
		}
		if got := strings.Join(told, " "); got != c.told {
			t.Errorf("at %s: told of %q, want %q", c.state, got, c.told)
		}
	}
}
