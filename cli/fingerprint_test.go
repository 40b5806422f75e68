package cli

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/config"
	"plugbeat/webhook/signing"
)

// TestOneFingerprint: plugbeat, the command that the documentation gives, and sha256sum of the
// file as init makes it, tell one fingerprint of a token, whatever stands around it.
func TestOneFingerprint(t *testing.T) {
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("`(tr [^`]*sha256sum[^`]*)`").FindSubmatch(docs)
	if documented == nil {
		t.Fatal("docs/operations.md gives no command for a fingerprint")
	}
	dir := filepath.Join(t.TempDir(), "d")
	if r := (clitest.Session{App: App}).Run(t, "init", "--dir", dir); r.Code != 0 {
		t.Fatal(r.Err)
	}
	file := filepath.Join(dir, config.ManagementTokenFileName)
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	run := func(command string) string {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)[:8]
	}
	cfg, err := config.Load(filepath.Join(dir, config.FileName))
	if err != nil {
		t.Fatal(err)
	}
	want := signing.Fingerprint(token)
	if got := run("sha256sum " + config.ManagementTokenFileName); got != want || len(token) != 2*len(must(hex.DecodeString(string(token)))) {
		t.Errorf("sha256sum of the file as it was made: %s, want %s", got, want)
	}
	for name, around := range map[string][2]string{"as it was made": {}, "line break": {"", "\n"}, "of Windows": {"", "\r\n"}, "blanks": {" ", " \n\n"}, "byte order mark": {"\ufeff", "\n"}} {
		if err := os.WriteFile(file, []byte(around[0]+string(token)+around[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := cfg.ManagementToken()
		if err != nil || signing.Fingerprint(got) != want {
			t.Errorf("%s: plugbeat's is %s, want %s (%v)", name, signing.Fingerprint(got), want, err)
		}
		if got := run(strings.ReplaceAll(string(documented[1]), `\|`, "|")); got != want {
			t.Errorf("%s: the documented command gives %s, want %s", name, got, want)
		}
	}
	// A receiver that takes the file as it is, line break and all, hears of that.
	challenge := signing.NewChallenge()
	answer := `{"challenge":"` + signing.AnswerOf([]byte(string(token)+"\n"), challenge) + `"}`
	if err := signing.CheckAnswer(token, challenge, []byte(answer)); err == nil || !strings.Contains(err.Error(), "with a line break at its end") {
		t.Errorf("%v", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
