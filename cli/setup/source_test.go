package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
)

// TestSourceQuestions: on a terminal init asks for what flags leave, each answer until it can be
// taken, and writes nothing before the last.
func TestSourceQuestions(t *testing.T) {
	for _, c := range []struct {
		name, typed, answers string
		code                 int
		questions, section   []string
	}{
		{"all of it", "--source evcc", "evcc.local\nhttp://evcc.local:7070\n\nzoe\n\n", terminal.ExitOK,
			[]string{"evcc's address, as http://192.168.1.10:7070: ", "it is not absolute", "vehicle is needed", "its make, as RENAULT (nothing for none): "},
			[]string{"  evcc:\n", "url: http://evcc.local:7070\n", "- id: zoe\n"}},
		{"what flags leave", "--source evcc --set url=http://evcc.local:7070 --set name=home --set make=KIA", "zoe\n", terminal.ExitOK,
			[]string{"evcc's name of the vehicle: "}, []string{"  home:\n", "make: KIA\n"}},
		{"defaults", "--source intake", "\n\n", terminal.ExitOK, []string{"without blanks [vehicle]: "}, []string{"- id: vehicle\n"}},
		{"an end of input", "--source evcc", "http://evcc.local:7070\n", terminal.ExitFailure, []string{"input ended"}, nil},
		{"without a source nothing is asked", "", "", terminal.ExitOK, nil, []string{"type: simulator\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			r := clitest.Session{App: clitest.Commands(InitCommand), TTY: true, Stdin: c.answers}.Run(t, append([]string{"init", "--dir", dir},
				strings.Fields(c.typed)...)...)
			if r.Code != c.code {
				t.Fatalf("exit %d\n%s%s", r.Code, r.Out, r.Err)
			}
			for _, q := range c.questions {
				if !strings.Contains(r.Err, q) {
					t.Errorf("not asked or said: %q in\n%s", q, r.Err)
				}
			}
			text, err := os.ReadFile(filepath.Join(dir, "config.yaml"))
			if (err == nil) != (c.section != nil) {
				t.Fatal(err)
			}
			for _, line := range c.section {
				if !strings.Contains(string(text), line) {
					t.Errorf("no %q in\n%s", line, text)
				}
			}
		})
	}
}
