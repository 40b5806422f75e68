package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
)

// TestCompletion: a shell that loads what completion prints completes commands of every level
// and their flags. The scripts ask the binary, which here is this test's.
func TestCompletion(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(exe, filepath.Join(bin, "plugbeat")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for shell, ask := range map[string]string{
		"bash": `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _plugbeat; echo "${COMPREPLY[*]}"`,
		"zsh":  `compdef() { : }; source "$1"; shift; _describe() { print -r -- "${(j: :)${(P)2}[@]%%:*}" }; words=("$@"); CURRENT=$#; _plugbeat`,
		"fish": `source $argv[1]; complete -C (string join " " -- $argv[2..]) | string replace -r "\t.*" "" | string join " "`,
	} {
		t.Run(shell, func(t *testing.T) {
			r := clitest.Session{App: App}.Run(t, "completion", shell)
			if r.Code != terminal.ExitOK {
				t.Fatal(r.Err)
			}
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("skipped: there is no %s here", shell)
			}
			file := filepath.Join(t.TempDir(), "plugbeat."+shell)
			if err := os.WriteFile(file, []byte(r.Out), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct{ typed, with, without string }{
				{"plugbeat ", "webhook", "--callback"},
				{"plugbeat webhook ", "add", "subscribe"},
				{"plugbeat webhook a", "add", "init"},
				{"plugbeat webhook add --c", "--callback", "--dir"},
				{"plugbeat webhook add --name x --c", "--callback", "--dir"},
				{"plugbeat init --s", "--systemd", "--callback"},
			} {
				words := strings.Split(c.typed, " ")
				args := append([]string{"-c", ask, "plugbeat-test", file}, words...)
				if shell == "fish" {
					args = append([]string{"--no-config", "-c", ask, file}, words...)
				}
				out, err := exec.Command(shell, args...).CombinedOutput()
				got := " " + strings.Join(strings.Fields(string(out)), " ") + " "
				if err != nil || !strings.Contains(got, " "+c.with+" ") || strings.Contains(got, " "+c.without+" ") {
					t.Errorf("%q: %v: %s", c.typed, err, got)
				}
			}
		})
	}
	if r := (clitest.Session{App: App}).Run(t, "completion", "csh"); r.Code != terminal.ExitUsage || !strings.Contains(r.Err, "shells: bash, zsh, fish") {
		t.Errorf("exit %d: %s", r.Code, r.Err)
	}
}

// TestCompletionActsNot: what a shell asks while somebody types does nothing, however far the
// line has got.
func TestCompletionActsNot(t *testing.T) {
	for _, typed := range []string{"webhook rm fleet --yes", "webhook rm fleet --yes --", "subscribe fleet --all", "subscribe --all -- fleet", "status", "alert test --"} {
		d := clitest.Full(t)
		r := clitest.Session{App: App, Socket: d.Socket}.Run(t, append(strings.Fields(typed), "--generate-bash-completion")...)
		if asked := d.Asked(); len(asked) > 0 {
			t.Errorf("%s: it asked %q\n%s%s", typed, asked, r.Out, r.Err)
		}
	}
}
