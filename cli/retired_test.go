package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/config"
)

// fileWith is a config file with the retired settings in it.
func fileWith(t *testing.T, retired ...config.Retired) string {
	t.Helper()
	root := map[string]any{}
	for _, r := range retired {
		keys := strings.Split(strings.ReplaceAll(r.Path, "sources.NAME", "sources.fleet"), ".")
		section := root
		for i, key := range keys[:len(keys)-1] {
			if section[key] == nil {
				section[key] = map[string]any{}
			}
			section = section[key].(map[string]any)
			if i == 1 && keys[0] == "sources" {
				section["type"], section["client_id"] = "smartcar", "x"
			}
		}
		section[keys[len(keys)-1]] = r.Value
	}
	text, err := json.Marshal(root) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// complaintOf is the part of check-config's answer that the retired setting is to get.
func complaintOf(r config.Retired) string {
	at := strings.ReplaceAll(r.Path, "sources.NAME", "sources.fleet")
	if r.Value != "" {
		at += ` "` + r.Value + `"`
	}
	return "line 1: " + at + ": " + r.Became + "; allowed: "
}

// TestRetiredSettings holds that check-config says of each setting that left what became of it,
// in words of its own, and that it says so of all of them at once.
func TestRetiredSettings(t *testing.T) {
	texts := map[string]string{}
	var lines []config.Retired
	for _, r := range config.RetiredSettings() {
		if other, ok := texts[r.Became]; ok {
			t.Errorf("%s and %s have the same text", r.Path, other)
		}
		texts[r.Became] = r.Path
		if r.Path != "delivery.challenge" { // a heading, whose settings have texts of their own
			lines = append(lines, r)
		}

		file := fileWith(t, r)
		got := clitest.Session{App: App}.Run(t, "check-config", file)
		if want := "plugbeat: config " + file + ": " + complaintOf(r); got.Code != terminal.ExitFailure || !strings.HasPrefix(got.Err, want) {
			t.Errorf("%s: exit %d\n got %s\nwant %s", r.Path, got.Code, got.Err, want)
		}
		if r.Value != "" {
			continue // the setting is there, only the value is not
		}
		got = clitest.Session{App: App}.Run(t, "config", "describe", r.Path)
		if got.Code != terminal.ExitUsage || !strings.Contains(got.Err, r.Became) {
			t.Errorf("describe %s: exit %d\n%s", r.Path, got.Code, got.Err)
		}
	}

	got := clitest.Session{App: App}.Run(t, "check-config", fileWith(t, lines...))
	for _, r := range lines {
		if !strings.Contains(got.Err, "\n  "+complaintOf(r)) {
			t.Errorf("with all of them in the file, nothing is said of %s:\n%s", r.Path, got.Err)
		}
	}
}
