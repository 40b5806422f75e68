//go:build linux

package booted

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// This file is what an operator does to a service that has run for long.

// What root does to the data file leaves it the daemon's.
func (w *world) maintained(t *testing.T) {
	w.must("systemctl", "start", "plugbeat")
	w.must("plugbeat", "backup", "/srv/backup.db")
	w.must("systemctl", "stop", "plugbeat")
	w.must("plugbeat", "compact")
	w.must("plugbeat", "restore", "/srv/backup.db")
	if left := w.must("find", "/var/lib/plugbeat", "!", "-user", "plugbeat", "-o", "!", "-group", "plugbeat", "-o", "-perm", "/077"); left != "" {
		t.Errorf("of another owner or open to others: %s", left)
	}
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "webhook", "list"); !strings.Contains(out, hook) {
		t.Errorf("after the restoring:\n%s", out)
	}

	// A backup by itself, where the unit lets it write.
	w.must("install", "-d", "-o", "plugbeat", "-g", "plugbeat", "-m", "0700", "/var/backups/plugbeat")
	config := w.must("cat", "/etc/plugbeat/config.yaml")
	w.edit("/etc/plugbeat/config.yaml", "\ndelivery:\n", "\nbackup: {folder: /var/backups/plugbeat, schedule: 1m}\nalerts: {phone: {template: json, url_file: secrets/phone_url}}\ndelivery:\n")
	// Secrets that came later are handed over too.
	w.write("/etc/plugbeat/secrets/phone_url", "http://"+address+"/alert\n")
	w.must("plugbeat", "init", "--systemd") // sets its mode right
	w.must("plugbeat", "token", "rotate-management")
	if got := w.must("stat", "-c", "%a %U:%G", "/etc/plugbeat/secrets/phone_url", "/etc/plugbeat/secrets/management_token_next"); got != "600 root:root\n600 root:root" {
		t.Errorf("later secrets: %s", got)
	}
	w.must("systemctl", "restart", "plugbeat")
	w.must("plugbeat", "status")
	w.eventually("a backup", 90*time.Second, func() error {
		if w.text("ls", "/var/backups/plugbeat") == "" {
			return errors.New("the folder is empty")
		}
		return nil
	})
	w.restoreConfig(config)
	w.must("rm", "-r", "/var/backups/plugbeat", "/srv/backup.db", "/etc/plugbeat/secrets/phone_url", "/etc/plugbeat/secrets/management_token_next")
	w.fact("maintenance by root: backup, compact and restore leave the files the daemon's; it makes backups in /var/backups/plugbeat; secrets that come later are handed over")
}

// A damaged data file is not tried again and again, and the way out works.
func (w *world) damaged(t *testing.T) {
	const file = "/var/lib/plugbeat/plugbeat.db"
	w.must("plugbeat", "backup", "/srv/backup.db")
	w.must("systemctl", "stop", "plugbeat")
	w.must("truncate", "--size=20000", file)
	restarts := w.number("NRestarts")
	w.fails(nil, "systemctl", "start", "plugbeat")
	if code, text := w.property("ExecMainStatus"), w.property("StatusText"); code != "65" || !strings.Contains(text, file+" is damaged") || !strings.Contains(text, "plugbeat restore") {
		t.Errorf("it ended with %s and %q", code, text)
	}
	if state, n := w.property("ActiveState"), w.number("NRestarts"); state != "failed" || n != restarts {
		t.Errorf("it is %s and was started %d times again", state, n-restarts)
	}
	w.must("plugbeat", "restore", "/srv/backup.db")
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "webhook", "list"); !strings.Contains(out, hook) {
		t.Errorf("after the restoring:\n%s", out)
	}
	w.must("rm", "/srv/backup.db")
	w.fact("a damaged data file: failed at once with 65, the file and plugbeat restore named, which works")
}

// restoreConfig puts a config back as it was.
func (w *world) restoreConfig(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path("/etc/plugbeat/config.yaml"), []byte(text+"\n"), 0); err != nil {
		w.t.Fatal(err)
	}
}

// A data folder that the unit does not let it write to is refused with the way out,
// which works.
func (w *world) elsewhere(t *testing.T) {
	config := w.must("cat", "/etc/plugbeat/config.yaml")
	w.must("install", "-d", "-o", "plugbeat", "-g", "plugbeat", "-m", "0700", "/srv/elsewhere")
	w.edit("/etc/plugbeat/config.yaml", "data_dir: /var/lib/plugbeat", "data_dir: /srv/elsewhere")
	w.must("systemctl", "restart", "--no-block", "plugbeat")
	w.eventually("the way out in the journal", 30*time.Second, func() error {
		out := w.text("journalctl", "--no-pager", "-u", "plugbeat", "-p", "err", "-o", "cat", "-n", "20")
		for _, word := range []string{"/srv/elsewhere", "read-only file system", "systemctl edit plugbeat", "ReadWritePaths="} {
			if !strings.Contains(out, word) {
				return fmt.Errorf("no %q in:\n%s", word, out)
			}
		}
		return nil
	})
	w.write("/etc/systemd/system/plugbeat.service.d/data.conf", "[Service]\nReadWritePaths=/srv/elsewhere\n")
	w.must("systemctl", "daemon-reload")
	w.must("systemctl", "restart", "plugbeat")
	w.must("test", "-s", "/srv/elsewhere/plugbeat.db")
	w.must("runuser", "-u", "ann", "--", "plugbeat", "status") // the socket stays where it was
	w.must("systemctl", "stop", "plugbeat")
	w.must("rm", "-r", "/srv/elsewhere", "/etc/systemd/system/plugbeat.service.d/data.conf")
	w.must("systemctl", "daemon-reload")
	w.restoreConfig(config)
	w.fact("another data folder: refused with the drop-in that allows it, which works")
}

// --remove keeps what cannot be had again, coming back finds it, and --purge leaves
// nothing.
func (w *world) removed(t *testing.T) {
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "init", "--systemd", "--remove"); !strings.Contains(out, "removed  /etc/systemd/system/plugbeat.service") || !strings.Contains(out, "kept     /var/lib/plugbeat") {
		t.Errorf("remove:\n%s", out)
	}
	w.fails(nil, "systemctl", "cat", "plugbeat.service")
	w.fails(nil, "sh", "-c", "cat /proc/[0-9]*/comm | grep -x plugbeat")
	w.must("plugbeat", "init", "--systemd")
	w.must("systemctl", "start", "plugbeat")
	if out := w.must("plugbeat", "webhook", "list"); !strings.Contains(out, hook) {
		t.Errorf("after coming back:\n%s", out)
	}
	w.fails([]string{"cannot be undone", "--yes"}, "plugbeat", "init", "--systemd", "--remove", "--purge")
	w.must("plugbeat", "init", "--systemd", "--remove", "--purge", "--yes")
	w.nothingLeft()
	w.fact("remove keeps config, keys and data; purge leaves nothing")
}

// nothingLeft holds that no file and no user of plugbeat's is there.
func (w *world) nothingLeft() {
	w.t.Helper()
	if left := w.text("find", "/etc", "/usr/lib", "/var", "/run", "-xdev", "-name", "*plugbeat*"); left != "" {
		w.t.Errorf("left: %s", left)
	}
	for _, base := range []string{"passwd", "group"} {
		if out, err := w.run("getent", base, "plugbeat"); err == nil {
			w.t.Errorf("left in %s: %s", base, out)
		}
	}
}
