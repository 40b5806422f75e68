package cli

import (
	"errors"
	"strings"
	"testing"
)

func TestArrange(t *testing.T) {
	for _, tc := range []struct{ typed, want string }{
		{"status", "plugbeat status --"},
		{"--json status", "plugbeat status --json --"},
		{"--socket S status", "plugbeat status --socket S --"},
		{"subscribe fleet V1 V2 --spread 1h", "plugbeat subscribe --spread 1h -- fleet V1 V2"},
		{"subscribe --all fleet", "plugbeat subscribe --all -- fleet"},
		{"webhook --json show fleet", "plugbeat webhook show --json -- fleet"},
		{"webhook change --name=x fleet", "plugbeat webhook change --name=x -- fleet"},
		{"webhook show -- --odd", "plugbeat webhook show -- --odd"},
		{"webhook show help", "plugbeat webhook show -- help"},
		{"check -", "plugbeat check -- -"},
		{"--version", "plugbeat version --"},
	} {
		l, err := arrange((&shell{}).app(), strings.Fields(tc.typed))
		if err != nil {
			t.Errorf("%s: %v", tc.typed, err)
			continue
		}
		if got := strings.Join(l.args(), " "); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.typed, got, tc.want)
		}
	}
}

func TestArrangeRefuses(t *testing.T) {
	for _, tc := range []struct{ typed, msg, hint string }{
		{"staus", `plugbeat has no command "staus"`, "did you mean: plugbeat status"},
		{"webhook lst", `plugbeat webhook has no command "lst"`, "did you mean: plugbeat webhook list"},
		{"zzzzz", `plugbeat has no command "zzzzz"`, "commands: demo"},
		{"webhook", "plugbeat webhook needs a command: add, list", "see: plugbeat webhook --help"},
		{"status --jsn", "plugbeat status has no flag --jsn", "did you mean --json?"},
		{"webhook add --callbck x", "plugbeat webhook add has no flag --callbck", "did you mean --callback?"},
		{"webhook add --plugged 1h", "plugbeat webhook add has no flag --plugged", "did you mean --plugged-in?"},
		{"status --qqqqqqq", "plugbeat status has no flag --qqqqqqq", "see: plugbeat status --help"},
		{"webhook add --name", "--name needs a value", "see: plugbeat webhook add --help"},
		{"--verbose status", "plugbeat has no flag --verbose", "see: plugbeat --help"},
	} {
		_, err := arrange((&shell{}).app(), strings.Fields(tc.typed))
		var u *usageError
		if !errors.As(err, &u) || !strings.HasPrefix(u.msg, tc.msg) || !strings.HasPrefix(u.hint, tc.hint) {
			t.Errorf("%s: %#v", tc.typed, err)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"list", "lits", 1}, {"list", "last", 1}, {"enable", "disable", 3}, {"show", "sho", 1}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
