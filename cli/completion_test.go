package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"
)

// A shell that loads what completion prints completes commands of every level and
// their flags, wherever other flags stand.
func TestCompletion(t *testing.T) {
	ask := map[string]string{
		"bash": `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _plugbeat; echo "${COMPREPLY[*]}"`,
		"zsh": `compdef() { : }; source "$1"; shift; _describe() { print -r -- "${(j: :)${(P)2}[@]%%:*}" }
			words=("$@"); CURRENT=$#; _plugbeat`,
		"fish": `source $argv[1]; complete -C (string join " " -- $argv[2..]) | string replace -r "\t.*" "" | string join " "`,
	}
	for _, sh := range shells {
		t.Run(sh.name, func(t *testing.T) {
			r := session{}.run(t, "completion", sh.name)
			if r.code != ExitOK {
				t.Fatal(r.err)
			}
			if _, err := exec.LookPath(sh.name); err != nil {
				t.Skipf("skipped: there is no %s here", sh.name)
			}
			file := filepath.Join(t.TempDir(), "plugbeat."+sh.name)
			if err := os.WriteFile(file, []byte(r.out), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ typed, with, without string }{
				{"plugbeat ", "webhook", "--callback"},
				{"plugbeat webhook ", "add", "subscribe"},
				{"plugbeat webhook a", "add", "init"},
				{"plugbeat webhook add --", "--callback", "--dir"},
				{"plugbeat webhook --json add --name x --", "--callback", "--dir"},
				{"plugbeat init --", "--systemd", "--callback"},
			} {
				words := strings.Split(c.typed, " ")
				args := append([]string{"-c", ask[sh.name], "plugbeat-test", file}, words...)
				if sh.name == "fish" {
					args = append([]string{"--no-config", "-c", ask[sh.name], file}, words...)
				}
				out, err := exec.Command(sh.name, args...).CombinedOutput()
				got := " " + strings.TrimSpace(string(out)) + " "
				if err != nil || !strings.Contains(got, " "+c.with+" ") || strings.Contains(got, " "+c.without+" ") {
					t.Errorf("%q: %v: %s", c.typed, err, got)
				}
			}
		})
	}
	if r := (session{}).run(t, "completion", "csh"); r.code != ExitUsage || !strings.Contains(r.err, "shells: bash, zsh, fish") {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}

// Every command and every flag is in every shell's text.
func TestCompletionIsWhole(t *testing.T) {
	levels := levelsOf((&shell{}).app().Commands)
	var walk func(path string, cmds []*ucli.Command) int
	walk = func(path string, cmds []*ucli.Command) (n int) {
		for _, c := range cmds {
			n += 1 + walk(path+" "+c.Name, c.Subcommands)
		}
		return n
	}
	if n := walk("", (&shell{}).app().Commands); len(levels) != n+1 {
		t.Errorf("%d levels of %d commands", len(levels), n)
	}
	for _, sh := range shells {
		text := sh.text(levels)
		for _, l := range levels {
			for _, w := range l.words {
				if !strings.Contains(text, strings.TrimPrefix(w.word, "--")) {
					t.Errorf("%s: no %s of %q", sh.name, w.word, l.path)
				}
			}
		}
	}
}
