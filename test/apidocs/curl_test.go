// Package apidocs runs what docs/api.md shows, as it stands there, against a daemon.
package apidocs

import (
	"encoding/json"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/webhook"
)

// tasks returns the paragraphs of the page's block of curl commands.
func tasks(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "### Tasks, with curl\n\n```sh\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("docs/api.md has no block of tasks")
	}
	return strings.Split(strings.TrimSpace(block), "\n\n")
}

// Every example of curl in docs/api.md works as it stands, with the tokens, ids and
// addresses of a daemon in its variables.
func TestCurlExamples(t *testing.T) {
	for _, tool := range []string{"curl", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: %v", tool, err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := ln.Addr().String()
	_ = ln.Close()
	d := daemon.New(t, func(config string) string {
		config = strings.NewReplacer("127.0.0.1:8765", "127.0.0.1:0", "127.0.0.1:8766", admin).Replace(config)
		return config + "\ndelivery:\n  allow: [127.0.0.1]\n"
	})
	r := receiver.New(d.ManagementToken())
	server := httptest.NewServer(r)
	defer server.Close()
	d.Start()
	ctx, c := t.Context(), d.Client()
	token, err := c.AddToken(ctx, adminapi.NewToken{Name: "laptop", Scope: access.ScopeOperate})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddToken(ctx, adminapi.NewToken{Name: "old-laptop", Scope: access.ScopeRead}); err != nil {
		t.Fatal(err)
	}
	vehicles, err := c.Vehicles(ctx, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TOKEN": token.Token, "VEHICLE": vehicles.Items[0].Vehicle.ID.String(), "SOCKET": c.Socket()}

	paragraphs := tasks(t)
	// A curl that fails when the daemon refuses, and stops the script.
	head := "set -euo pipefail\ncurl() { command curl -f \"$@\"; }\n" + paragraphs[0] + "\n"
	for _, p := range paragraphs[1:] {
		name, _, _ := strings.Cut(p, "\n")
		script := strings.NewReplacer("127.0.0.1:8766", admin, "https://example.com/hook", server.URL, `S="curl `, `S="command curl -f `).Replace(head + p)
		if strings.Contains(p, "$DELIVERY") {
			env["DELIVERY"] = delivered(t, c)
		}
		cmd := exec.CommandContext(ctx, "bash", "-c", script)
		cmd.Env = os.Environ()
		for k, v := range env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", name, err, script, out)
		}
		checkJSON(t, name, string(out))
		if key := valueAfter(string(out), `"signing_key":"`); key != "" && env["HOOK"] == "" {
			env["HOOK"] = valueAfter(string(out), `{"webhook":{"id":"`)
			if err := r.Know(env["HOOK"], key); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left, _ := filepath.Glob("*"); len(left) != 1 {
		t.Errorf("the examples left files: %q", left)
	}
	hook, err := c.Webhook(ctx, "home")
	if err != nil || hook.Cadence.PluggedIn != "15m" || hook.Status != webhook.Active {
		t.Errorf("%+v %v", hook.Webhook, err)
	}
	tokens, err := c.Tokens(ctx, "", 0)
	if err != nil || len(tokens.Items) != 2 || tokens.Items[0].Name != "grafana" || tokens.Items[1].Name != "laptop" {
		t.Errorf("%+v %v", tokens, err)
	}
}

// delivered waits for a delivery that arrived and returns its id.
func delivered(t *testing.T, c *adminapi.Client) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		p, err := c.Deliveries(t.Context(), adminapi.DeliveryQuery{State: webhook.Delivered, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Items) > 0 {
			return p.Items[0].ID.String()
		}
	}
	t.Fatal("nothing was delivered")
	return ""
}

func checkJSON(t *testing.T, name, out string) {
	t.Helper()
	if strings.TrimSpace(out) == "" {
		t.Errorf("%s: answers nothing", name)
	}
	for line := range strings.Lines(out) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%s: not JSON: %s", name, line)
		}
	}
}

func valueAfter(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
