package metrics

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tool is a command of Prometheus', from the path or from where .ci/run puts its
// tools.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join(os.Getenv("PLUGBEAT_TOOLS"), name)
		if home, err := os.UserHomeDir(); err == nil && os.Getenv("PLUGBEAT_TOOLS") == "" {
			path = filepath.Join(home, ".cache", "plugbeat-tools", name)
		}
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("there is no %s, and .ci/run should have brought it", name)
			}
			t.Skipf("there is no %s on this machine (Debian: apt-get install prometheus), so the rest is not tested", name)
		}
	}
	return exec.Command(path, args...)
}
