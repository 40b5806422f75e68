package access

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/config"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// app is a command line of the commands here.
var app = clitest.Commands(Command)

const (
	oldToken  = "the-old-management-token-0123456789"
	nextToken = "the-next-management-token-0123456789"
)

// tokenFiles are a folder with a config and the files of tokens; empty for none.
func tokenFiles(t *testing.T, socket, present, next string) (file string, tokens func() (present, next string)) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "config.yaml")
	for name, text := range map[string]string{"config.yaml": "socket: " + socket + "\ndata_dir: data\napplication: {management_token_file: token}\nsources: {fleet: {type: simulator}}\n", "token": present, "token_next": next} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file, func() (string, string) {
		cfg, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := cfg.ManagementToken()
		if err != nil {
			t.Fatal(err)
		}
		b, err := cfg.ManagementTokenNext()
		if err != nil {
			t.Fatal(err)
		}
		return string(a), string(b)
	}
}

// Whatever step of ending or beginning a rotation was the last before a crash, the
// config is valid, one of the two tokens is the present one, and the same command
// goes on to the same end.
func TestManagementTokenCrash(t *testing.T) {
	for _, crashed := range []struct {
		name    string
		leave   map[string]string
		present string
		next    string
	}{
		{"finishing: nothing done", nil, oldToken, nextToken},
		{"finishing: the new file was begun", map[string]string{".plugbeat-new-1": ""}, oldToken, nextToken},
		{"finishing: the new file was written", map[string]string{".plugbeat-new-1": nextToken}, oldToken, nextToken},
		{"finishing: it was put in place", map[string]string{"token": nextToken}, nextToken, ""},
	} {
		t.Run(crashed.name, func(t *testing.T) {
			file, tokens := tokenFiles(t, "none.sock", oldToken, nextToken)
			dir := filepath.Dir(file)
			for name, text := range crashed.leave {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if a, b := tokens(); a != crashed.present || b != crashed.next {
				t.Errorf("after the crash: %s and %s", a, b)
			}
			for range 2 { // again, too
				if err := finishToken(filepath.Join(dir, "token"), filepath.Join(dir, "token_next")); err != nil {
					t.Fatal(err)
				}
				if a, b := tokens(); a != nextToken || b != "" {
					t.Errorf("finished: %s and %s", a, b)
				}
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 2 {
				t.Errorf("left in the folder: %v %v", left, err)
			}
		})
	}
	file, tokens := tokenFiles(t, "none.sock", oldToken, "")
	dir := filepath.Dir(file)
	for _, half := range []string{"", "half"} {
		if err := os.WriteFile(filepath.Join(dir, ".plugbeat-new-1"), []byte(half), 0o600); err != nil {
			t.Fatal(err)
		}
		if a, b := tokens(); a != oldToken || b != "" {
			t.Errorf("beginning: %s and %s", a, b)
		}
	}
	if err := beginToken(filepath.Join(dir, "token"), filepath.Join(dir, "token_next")); err != nil {
		t.Fatal(err)
	}
	if a, b := tokens(); a != oldToken || len(b) != 64 {
		t.Errorf("begun: %s and %s", a, b)
	}
	if info, err := os.Stat(filepath.Join(dir, "token_next")); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// The command walks through a rotation, and does not finish while a receiver has the
// old token.
func TestRotateManagement(t *testing.T) {
	d := clitest.NewDaemon(t)
	file, tokens := tokenFiles(t, d.Socket, oldToken, "")
	type step struct {
		tokens adminapi.ManagementToken
		flags  string
		code   int
		says   []string
		next   bool
	}
	print := func(s string) string { return signing.Fingerprint(webhook.Secret(s)) }
	holder := func(has adminapi.TokenHas, token string) []adminapi.TokenHolder {
		return []adminapi.TokenHolder{{ID: clitest.HookID, Name: "fleet", Status: webhook.Active, Has: has, At: clitest.Noon, Challenge: &webhook.Challenge{Status: 200, Text: "answered rightly", Token: token}},
			{ID: clitest.OtherID, Name: "off", Status: webhook.Disabled, Has: adminapi.HasUnknown}}
	}
	var now adminapi.ManagementToken
	d.On("GET", "/management-token", func([]byte) any { return now }).On("POST", "/management-token/try", func([]byte) any { return now })
	run := func(s step) {
		t.Helper()
		now = s.tokens
		x := clitest.Session{App: app, Socket: d.Socket}
		r := x.Run(t, append(append([]string{"token", "rotate-management"}, strings.Fields(s.flags)...), "--config", file)...)
		for _, want := range s.says {
			if !strings.Contains(r.Out+r.Err, want) {
				t.Errorf("%q: %q is not in\n%s%s", s.flags, want, r.Out, r.Err)
			}
		}
		if r.Code != s.code {
			t.Errorf("%q: exit %d\n%s%s", s.flags, r.Code, r.Out, r.Err)
		}
		a, b := tokens()
		if (b != "") != s.next {
			t.Errorf("%q: next token %v", s.flags, b != "")
		}
		if strings.Contains(r.Out+r.Err, a) || b != "" && strings.Contains(r.Out+r.Err, b) {
			t.Error("a token is shown")
		}
	}
	before := adminapi.ManagementToken{Fingerprint: print(oldToken), Webhooks: holder(adminapi.HasPresent, print(oldToken))}
	run(step{before, "--finish", 0, []string{"no rotation"}, false})
	run(step{before, "", 0, []string{"made the next management token", "token_next", "restart plugbeat"}, true})
	_, made := tokens()
	run(step{before, "", 0, []string{"a rotation is going on", "restart plugbeat"}, true})
	run(step{before, "--finish", 1, []string{"does not know the next token yet", "restart plugbeat"}, true})
	going := before
	going.Next, going.UsedAt = print(made), clitest.Ago(0)
	run(step{going, "--try", 0, []string{"the old one", "give these receivers the token", "fleet", "callers last used", "the next one never"}, true})
	run(step{going, "--finish", 1, []string{"did not answer with the next token: fleet", "--finish --force"}, true})
	moved := going
	moved.Webhooks = holder(adminapi.HasNext, print(made))
	run(step{moved, "--try", 0, []string{"the next one", "--finish"}, true})
	run(step{moved, "--cancel", 1, []string{"have the next token already: fleet"}, true})
	run(step{moved, "--finish", 0, []string{"is the management token now", "restart plugbeat"}, false})
	if a, _ := tokens(); a != made {
		t.Error("the next token is not in place")
	}
	run(step{moved, "--finish", 0, []string{"no rotation", "restart plugbeat"}, false})

	run(step{adminapi.ManagementToken{Fingerprint: print(made)}, "", 0, []string{"made the next"}, true})
	run(step{adminapi.ManagementToken{Fingerprint: print(made)}, "--cancel", 0, []string{"removed the next"}, false})
	run(step{before, "--try --finish", 2, []string{"one step each"}, false})
	run(step{before, "--force", 2, []string{"--force goes with"}, false})
}
