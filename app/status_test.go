package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/receiver"
)

// hooked is a world with a verified webhook and its vehicles, not subscribed.
func hooked(t *testing.T) (*world, []uuid.UUID) {
	t.Helper()
	d := quiet(t)
	must(t, d.boot(t.Context()))
	connected, err := d.client.ConnectVehicles(t.Context(), "smartcar", d.upstream.RefreshToken())
	must(t, err)
	d.addHook(t.Context(), "hook")
	var ids []uuid.UUID
	for _, v := range connected.Vehicles {
		ids = append(ids, v.ID)
	}
	return d, ids
}

// TestStatusTellsOfStopping holds that a daemon that is waiting for a receiver, to end
// then, says that it stops, and not that its loops stand still.
func TestStatusTellsOfStopping(t *testing.T) {
	d, ids := hooked(t)
	hang, asked := make(chan struct{}), make(chan struct{}, 10)
	d.receiver.Rule(func(receiver.Message) receiver.Answer {
		asked <- struct{}{}
		<-hang
		return receiver.Answer{}
	})
	_, err := d.client.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "hook", Vehicles: []string{ids[0].String()}})
	must(t, err)
	<-asked
	halted := make(chan error, 1)
	client := d.client
	go func() { halted <- d.halt() }()
	var st adminapi.Status
	eventually(t, "a status that says stopping", func() bool {
		st, err = client.Status(t.Context())
		return err == nil && st.Stopping
	})
	if st.Ready || len(st.Conditions) != 1 || !strings.HasPrefix(wrong(st), "plugbeat is stopping: it waits for what is in flight (1 delivery, 0 reads)") {
		t.Errorf("ready %t, wrong: %s", st.Ready, wrong(st))
	}
	close(hang)
	must(t, <-halted)
}

// TestClockAnHourOff holds that a receiver's Date tells, in status and log, of a clock
// that is off, and that once they agree again it is told no more.
func TestClockAnHourOff(t *testing.T) {
	d, _ := hooked(t)
	var by time.Duration
	d.receiver.Rule(func(receiver.Message) receiver.Answer {
		return receiver.Answer{Header: http.Header{"Date": {time.Now().Add(by).UTC().Format(http.TimeFormat)}}}
	})
	clock := func() string {
		_, err := d.client.VerifyWebhook(t.Context(), "hook")
		must(t, err)
		st, err := d.client.Status(t.Context())
		must(t, err)
		for _, c := range st.Conditions {
			if c.Code == health.ClockOff {
				return c.Text
			}
		}
		return ""
	}
	for _, want := range []struct {
		by   time.Duration
		says string
	}{
		{0, ""}, {time.Hour, ""}, {time.Hour, "this machine's clock is 1h behind that of 127.0.0.1:"}, {-time.Hour, ""}, {-time.Hour, "this machine's clock is 1h ahead of that of 127.0.0.1:"}, {0, ""},
	} {
		by = want.by
		if got := clock(); !strings.HasPrefix(got, want.says) || want.says == "" && got != "" {
			t.Errorf("off by %v: %q", want.by, got)
		}
	}
	must(t, d.halt())
}
