package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// checkCadence refuses a cadence that cannot be, and warns where it is faster than
// a connected car's make stands. It also says what the cadence costs.
func (s *Server) checkCadence(ctx context.Context, w *webhook.Webhook) (warnings, costs []string, err error) {
	if err := s.Policy.Check(w); err != nil {
		return nil, nil, err
	}
	cars, err := s.allVehicles(ctx)
	return s.cadenceWarnings(w, cars), s.costs(w, cars), err
}

// cadenceWarnings holds one line per make, in the alphabet's order.
func (s *Server) cadenceWarnings(w *webhook.Webhook, cars []vehicle.Vehicle) []string {
	var makes, lines []string
	for _, v := range cars {
		makes = append(makes, v.Make)
	}
	slices.Sort(makes)
	for _, m := range slices.Compact(makes) {
		if text := s.Policy.Warn(w, m); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// warnings are what a person should know who subscribes the cars to the webhook.
func (s *Server) warnings(w *webhook.Webhook, cars []vehicle.Vehicle) []string {
	lines := s.cadenceWarnings(w, cars)
	if !w.Fires() {
		next := "plugbeat webhook enable "
		if w.Status == webhook.Unverified || w.Reason == webhook.CallbackChanged {
			next = "plugbeat webhook verify "
		}
		lines = append([]string{"webhook " + w.Name + " is " + string(w.Status) + ": nothing is delivered until you run: " + next + shellWord(w.Name)}, lines...)
	}
	return lines
}

// spreadOf reads the time over which the grids of a bulk subscription are put
// apart: at most one cadence, the unplugged one where it follows the plug, after which they would lie on each other.
func (s *Server) spreadOf(w *webhook.Webhook, text string, now time.Time) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	unplugged, _, err := s.Policy.For(w, "")
	if err != nil {
		return 0, err
	}
	next := unplugged.Next(now, now)
	most := unplugged.Next(now, next).Sub(next)
	spread, err := time.ParseDuration(text)
	if err != nil || spread < 0 || spread > most {
		return 0, &webhook.Invalid{Field: "spread", Value: clip(text), Allowed: "a duration with its unit from 0s to " + short(most) + ", the webhook's cadence" + map[bool]string{true: " while unplugged"}[w.Type.Kind().FollowsPlug]}
	}
	return spread, nil
}

// short prints a duration without its empty parts: "1h", "1h30m", "45s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// shellWord quotes a name for a command line where it needs quotes.
func shellWord(s string) string {
	return words.Shell(s)
}
