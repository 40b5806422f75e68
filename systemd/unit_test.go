package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// init's unit is the packages' unit but for the binary, and tells when it was
// edited.
func TestUnit(t *testing.T) {
	file, err := os.ReadFile("plugbeat.service")
	if err != nil {
		t.Fatal(err)
	}
	packaged, err := Unit(PackagedExe)
	if err != nil || packaged != string(file) {
		t.Errorf("the packages' unit is not the file: %v", err)
	}
	own, err := Unit("/opt/plugbeat-1.2/bin/plugbeat")
	if err != nil || strings.Replace(own, "/opt/plugbeat-1.2/bin/plugbeat serve", "/usr/bin/plugbeat serve", 1) != packaged || own == packaged {
		t.Errorf("%v\n%s", err, own)
	}
	for _, path := range []string{"", "plugbeat", "/opt/my apps/plugbeat", "/opt/%h/plugbeat", "/opt/$X", "/a\nb"} {
		if _, err := Unit(path); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
	marked := Marked(own)
	for text, edited := range map[string]bool{marked: false, own: true, "": true, strings.Replace(marked, "WatchdogSec=60s", "WatchdogSec=0", 1): true, marked + "\n": true, strings.Replace(marked, "# sum ", "# sum 0", 1): true} {
		if Edited(text) != edited {
			t.Errorf("edited is %t of\n%.300s", !edited, text)
		}
	}
}

// The unit's exposure, as this machine's systemd counts it, is 2.0 or less, and
// systemd finds nothing wrong with it.
func TestUnitExposure(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("skipped: no systemd-analyze here; the booted test looks, too")
	}
	// A binary that is there, for verify.
	text, err := Unit("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), UnitName)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", path).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for plugbeat.service: (\d+\.\d+)`).FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2.0 {
		t.Errorf("exposure %s\n%s", m[1], out)
	}
	t.Logf("exposure %s", m[1])
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), "plugbeat.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
