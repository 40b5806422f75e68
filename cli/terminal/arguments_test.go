package terminal

import (
	"errors"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"
)

// app is a command line of some commands.
func app(s *Session) *ucli.App {
	text := func(name string) ucli.Flag { return &ucli.StringFlag{Name: name} }
	return NewApp(s,
		&ucli.Command{Name: "status", Flags: ClientFlags()},
		&ucli.Command{Name: "version"},
		&ucli.Command{Name: "check", Flags: ClientFlags()},
		&ucli.Command{Name: "config", Subcommands: []*ucli.Command{{Name: "describe"}}},
		&ucli.Command{Name: "listen"},
		&ucli.Command{Name: "subscribe", Flags: ClientFlags(Switch("all", ""), text("spread"))},
		&ucli.Command{Name: "webhook", Subcommands: []*ucli.Command{
			{Name: "add", Flags: ClientFlags(text("name"), text("callback"), text("plugged-in"), text("unplugged"))}, {Name: "list"},
			{Name: "show"}, {Name: "change", Flags: ClientFlags(text("name"))},
		}},
	)
}

func TestArguments(t *testing.T) {
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
		{"help webhook add", "plugbeat webhook add --help"},
		{"webhook add --name x --help", "plugbeat webhook add --help"},
		{"", "plugbeat --help"},
	} {
		s := &Session{}
		line, err := s.prepare(app(s), strings.Fields(tc.typed))
		if got := strings.Join(line, " "); err != nil || got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s\n%v", tc.typed, got, tc.want, err)
		}
	}
}

func TestArgumentsRefused(t *testing.T) {
	for _, tc := range []struct{ typed, text, hint string }{
		{"staus", `plugbeat has no command "staus"`, "did you mean: plugbeat status"},
		{"webhook lst", `plugbeat webhook has no command "lst"`, "did you mean: plugbeat webhook list"},
		{"zzzzz", `plugbeat has no command "zzzzz"`, "commands: status"},
		{"webhook", "plugbeat webhook needs a command: add, list", "see: plugbeat webhook --help"},
		{"status --jsn", "plugbeat status has no flag --jsn", "did you mean --json?"},
		{"webhook add --callbck x", "plugbeat webhook add has no flag --callbck", "did you mean --callback?"},
		{"webhook add --plugged 1h", "plugbeat webhook add has no flag --plugged", "did you mean --plugged-in?"},
		{"status --qqqqqqq", "plugbeat status has no flag --qqqqqqq", "see: plugbeat status --help"},
		{"webhook add --name", "--name needs a value", "see: plugbeat webhook add --help"},
		{"--verbose status", "plugbeat has no flag --verbose", "see: plugbeat --help"},
		{"config check x", "plugbeat config check has left", "use: plugbeat check-config FILE"},
		{"check --data x", "--data of plugbeat check has left", "use: plugbeat check FILE"},
		{"listen --forward http://x", "--forward of plugbeat listen has left", "use: plugbeat bridge URL"},
	} {
		s := &Session{}
		_, err := s.prepare(app(s), strings.Fields(tc.typed))
		u, ok := errors.AsType[*UsageError](err)
		if !ok || !strings.HasPrefix(u.Text, tc.text) || !strings.HasPrefix(u.Hint, tc.hint) {
			t.Errorf("%s: %#v", tc.typed, err)
		}
	}
}
