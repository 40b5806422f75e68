package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"plugbeat/adminapi"
	"plugbeat/app"
	"plugbeat/cli/clitest"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/health"
	"plugbeat/systemd"
	"plugbeat/webhook"
)

// TestDoctorPage holds the page of a healthy daemon and of one with much trouble.
func TestDoctorPage(t *testing.T) {
	c := newInstallation(t)
	st := clitest.Status()
	st.Version.Version, st.Conditions = "1.2.3", []health.Condition{}
	c.runs(st)
	c.looks["https://example.com/hook"] = far("example.com", 405, 0)
	c.looks["http://10.0.0.7:9000/cb"] = app.Look{Host: "10.0.0.7:9000", Addresses: []app.LookAddress{{Address: netip.MustParseAddr("10.0.0.7")}},
		Err: errors.New("dial tcp 10.0.0.7:9000: connect: connection refused"), Cause: "nothing listens there; is the receiver running?"}
	x := c.session()
	r := x.Run(t, "doctor", "--config", c.path("config.yaml"))
	if r.Code != terminal.ExitFailure || r.Err != "" {
		t.Errorf("exit %d %q", r.Code, r.Err)
	}
	clitest.Golden(t, "output/doctor.txt", strings.NewReplacer(c.dir, "/srv/plugbeat", c.daemon.Socket, "/srv/plugbeat/s").Replace(r.Out))
	x.TTY, x.Width, x.Env = true, 80, map[string]string{"NO_COLOR": "1"}
	r = x.Run(t, "doctor", "--config", c.path("config.yaml"))
	for l := range strings.SplitSeq(r.Out, "\n") {
		if n := utf8.RuneCountInString(l); n > 80 {
			t.Errorf("%d characters: %q", n, l)
		}
	}
	x.Env = nil
	if r := x.Run(t, "doctor", "--config", c.path("config.yaml")); !strings.Contains(r.Out, "\x1b[31mproblem\x1b[0m  webhook") || !strings.Contains(r.Out, "\x1b[32mok\x1b[0m       config") {
		t.Errorf("in colour:\n%s", r.Out)
	}
}

// TestDoctor breaks one thing at a time.
func TestDoctor(t *testing.T) {
	type want struct{ result, check, text, mend string }
	problem := func(check, text, mend string) want { return want{resultProblem, check, text, mend} }
	warning := func(check, text, mend string) want { return want{resultWarning, check, text, mend} }
	fine := func(check, text string) want { return want{resultOK, check, text, ""} }
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	hook := webhook.Webhook{ID: clitest.HookID, Name: "home", Type: webhook.TypeDynamic, CallbackURI: "https://example.com/hook", Signing: webhook.SignBoth, Status: webhook.Active}
	smartcarSource := "smartcar: {type: smartcar, client_id: x, client_secret_file: management_token}\n  fleet:"
	for _, tc := range []struct {
		name string
		ruin func(c *installation)
		want want
	}{
		{"no daemon", func(*installation) {}, warning(checkDaemon, "none runs", "plugbeat serve --config")},
		{"the clock is kept", func(*installation) {}, fine(checkClock, "a time service keeps it")},
		{"nothing yet", func(*installation) {}, fine(checkData, "not there yet")},
		{"no config", func(c *installation) { _ = os.Remove(c.path("config.yaml")) }, problem(checkConfig, "there is no such file", "plugbeat init")},
		{"config of a newer version", func(c *installation) { c.replace("config.yaml", "http:", "telemetry: {}\nhttp:") }, problem(checkConfig, "telemetry: this version has no such key (was the file written for a newer one?)", "check-config")},
		{"a daemon somewhere", func(c *installation) { c.replace("config.yaml", "http:", "telemetry: {}\nhttp:") }, warning(checkDaemon, "whether one runs cannot be told", "--socket PATH")},
		{"config others may write", func(c *installation) { c.chmod("config.yaml", 0o666) }, problem(checkConfig, "0666 lets others change it", "chmod go-w")},
		{"secret others may read", func(c *installation) { c.chmod("management_token", 0o644) }, warning(checkConfig, "its mode 0644 lets other users at it", "chmod 600")},
		{"no token", func(c *installation) { _ = os.Remove(c.path("management_token")) }, problem(checkSecret, "there is no such file", "openssl rand")},
		{"short token", func(c *installation) { c.write("management_token", "short") }, problem(checkSecret, "5 characters", "at least 32")},
		{"no key", func(c *installation) { _ = os.Remove(c.path("sealing_key")) }, problem(checkSecret, "sealing_key: there is no such file", "openssl")},
		{"right key", func(c *installation) { c.data(c.key()) }, fine(checkSecret, "the key opens the data file")},
		{"another key", func(c *installation) { c.data(make([]byte, 32)) }, problem(checkSecret, "it was sealed with another", "put back the key")},
		{"not a data file", func(c *installation) { c.write("data/plugbeat.db", "hello") }, problem(checkData, "is damaged", "restore")},
		{"data open to others", func(c *installation) { c.chmod("data", 0o755) }, warning(checkData, "its mode 0755 lets other users in", "chmod 700")},
		{"data others may write", func(c *installation) { c.chmod("data", 0o777) }, problem(checkData, "its mode 0777", "chmod 700")},
		{"data file open to others", func(c *installation) { c.data(c.key()); c.chmod("data/plugbeat.db", 0o644) }, warning(checkData, "its mode 0644", "chmod 600")},
		{"data file of another user", func(c *installation) { c.data(c.key()); c.Owners[c.path("data/plugbeat.db")] = "4711 0" }, problem(checkData, "it belongs to user 4711 and its folder to root", "chown --reference=")},
		{"disk almost full", func(c *installation) { c.disk.Free = 5 << 20 }, warning(checkDisk, "store.nearly_full: the disk is nearly full: 5 MiB are free", "make room")},
		{"disk nearly full", func(c *installation) { c.disk.Free = 100 << 20 }, warning(checkDisk, "100 MiB are free where", "make room")},
		{"disk full", func(c *installation) { c.disk.Free = 0 }, problem(checkDisk, "store.no_space: the disk is full", "make room")},
		{"disk read-only", func(c *installation) { c.disk.ReadOnly = true }, problem(checkDisk, "store.read_only: the disk is read-only", "mount the disk for writing")},
		{"no inodes", func(c *installation) { c.disk.FreeFiles = 3 }, problem(checkDisk, "3 inodes of 1000000 are free", "remove files")},
		{"on a network", func(c *installation) { c.disk.Kind = "nfs" }, problem(checkDisk, "a file system of type nfs", "local disk")},
		{"in memory", func(c *installation) { c.disk.Kind = "tmpfs" }, warning(checkDisk, "gone with the next boot", "on a disk")},
		{"no backups", func(*installation) {}, warning(checkBackup, "none are made by the daemon itself", "backup.folder")},
		{"no backup folder", func(c *installation) { c.replace("config.yaml", "http:", "backup: {folder: /no/such/place}\nhttp:") }, problem(checkBackup, "/no/such/place: no such file or directory", "mount its disk")},
		{"a backup that failed", func(c *installation) {
			st := clitest.Status()
			st.Backup = &adminapi.Backups{Folder: c.dir, Failed: "no space", FailedAt: clitest.Noon.Add(-5 * time.Minute)}
			st.Conditions = health.Judge(health.Facts{Now: clitest.Noon, Backup: &health.BackupFacts{Folder: c.dir, Failed: "no space", FailedAt: clitest.Noon.Add(-5 * time.Minute)}}).Conditions
			c.runs(st)
			c.replace("config.yaml", "sources:", "backup: {folder: "+c.dir+"}\nsources:")
		}, problem(checkBackup, "backup.failed: the scheduled backup failed: no space; there is no good one in", "plugbeat backup FILE")},
		{"a backup", func(c *installation) {
			st := clitest.Status()
			st.Backup = &adminapi.Backups{Folder: c.dir, Last: clitest.Noon.Add(-5 * time.Hour), LastBytes: 3 << 20}
			c.runs(st)
			c.replace("config.yaml", "sources:", "backup: {folder: "+c.dir+"}\nsources:")
		}, fine(checkBackup, "the last one is 5h old, 3.0 MiB")},
		{"port taken", func(c *installation) { c.replace("config.yaml", "127.0.0.1:0", taken.Addr().String()) }, problem(checkListener, "is taken by another program", "sudo ss -ltnp")},
		{"no such address", func(c *installation) { c.replace("config.yaml", "127.0.0.1:0", "'[2001:db8::1]:8765'") }, problem(checkListener, "this machine has no address [2001:db8::1]:8765; is IPv6 switched off?", "127.0.0.1:8765")},
		{"clock not kept", func(c *installation) { c.synced = false }, warning(checkClock, "no time service keeps it", "timedatectl")},
		{"webhook from the data file", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = far("example.com", 200, 0)
		}, fine(checkWebhook, "example.com answers (200 to HEAD)")},
		{"clock an hour off", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = far("example.com", 200, -time.Hour)
		}, problem(checkClock, "this machine's clock is 1h behind that of example.com", "timedatectl")},
		{"clock right", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = far("example.com", 200, 0)
		}, fine(checkClock, "it agrees with 1 other host")},
		{"receiver redirects", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = far("example.com", 301, 0)
		}, warning(checkWebhook, "redirects to https://xxxxx@example.com/new", "plugbeat webhook change home --callback")},
		{"receiver broken", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = far("example.com", 502, 0)
		}, warning(checkWebhook, "answers with 502", "its log")},
		{"receiver knows no HEAD", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = far("example.com", 501, 0)
		}, fine(checkWebhook, "example.com answers (501 to HEAD)")},
		{"certificate ends", func(c *installation) {
			c.data(c.key(), hook)
			l := far("example.com", 200, 0)
			l.Expires = clitest.Noon.Add(50 * time.Hour)
			c.looks["https://example.com/hook"] = l
		}, warning(checkWebhook, "a certificate that ends in 2d 2h", "renewed")},
		{"address refused", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = app.Look{Host: "example.com", Named: true, Addresses: []app.LookAddress{{Address: netip.MustParseAddr("10.0.0.1"), Denied: "address 10.0.0.1:443 is refused: private"}}}
		}, problem(checkWebhook, "is not sent to: address 10.0.0.1:443 is refused: private", "delivery.allow")},
		{"no such name", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = app.Look{Host: "example.com", Named: true, Resolve: errors.New("no such host"), Cause: "no such host; check the callback URI's name"}
		}, problem(checkWebhook, "cannot be looked up", "check the callback URI's name")},
		{"no resolver", func(c *installation) {
			c.data(c.key(), hook)
			c.looks["https://example.com/hook"] = app.Look{Host: "example.com", Named: true, Resolver: true, Resolve: errors.New("i/o timeout")}
		}, problem(checkNetwork, "no resolver answers", "/etc/resolv.conf")},
		{"source silent", func(c *installation) {
			c.replace("config.yaml", "fleet:", smartcarSource)
			c.looks["smartcar"] = app.Look{Host: "api.smartcar.com", Named: true, Addresses: []app.LookAddress{{Address: netip.MustParseAddr("192.0.2.7")}}, Err: errors.New("timeout"), Cause: "is the receiver running?"}
		}, problem(checkSource, "api.smartcar.com does not answer: timeout", "see whether the service behind the source runs")},
		{"source without a name", func(c *installation) {
			c.replace("config.yaml", "fleet:", smartcarSource)
			c.looks["smartcar"] = app.Look{Host: "api.smartcar.com", Named: true, Resolve: errors.New("no such host"), Cause: "no such host; check the callback URI's name"}
		}, problem(checkSource, "cannot be looked up", "in the source's section of the config")},
		{"alerts silent", func(c *installation) {
			c.replace("config.yaml", "http:", "alerts: {phone: {url: 'https://ntfy.example/secret-topic'}}\nhttp:")
			c.looks["https://ntfy.example/"] = app.Look{Host: "ntfy.example", Err: errors.New("refused"), Cause: "nothing listens there; is the receiver running?"}
		}, problem(checkAlert, "ntfy.example does not answer: refused", "the service that takes the alerts")},
		{"source answers", func(c *installation) {
			c.replace("config.yaml", "fleet:", smartcarSource)
			c.looks["smartcar"] = far("api.smartcar.com", 404, 0)
		}, fine(checkSource, "api.smartcar.com answers")},
		{"alerts answer", func(c *installation) {
			c.replace("config.yaml", "http:", "alerts: {phone: {url: 'https://ntfy.example/secret-topic'}}\nhttp:")
			c.looks["https://ntfy.example/"] = far("ntfy.example", 404, 0)
		}, fine(checkAlert, "phone: ntfy.example answers")},
		{"offline", func(c *installation) {
			c.data(c.key(), hook)
			c.args = []string{"--offline"}
		}, fine(checkNetwork, "left alone")},
		{"a daemon of another version", func(c *installation) { st := clitest.Status(); st.Version.Version = "1.1.0"; c.runs(st) }, warning(checkDaemon, "the daemon runs 1.1.0, and this is 1.2.3", "restart")},
		{"a daemon that is not ready", func(c *installation) {
			st := clitest.Status()
			st.Ready, st.Conditions = false, health.Judge(health.Facts{Now: clitest.Noon, Parts: []health.PartFacts{{Name: "scheduler", Err: errors.New("stands still")}}}).Conditions
			c.runs(st)
		}, problem(checkDaemon, "daemon.not_ready: the part scheduler does not work: stands still", "log")},
		{"a daemon that stops", func(c *installation) {
			st := clitest.Status()
			st.Stopping, st.Ready, st.Conditions = true, false, health.Judge(health.Facts{Now: clitest.Noon, Stopping: true}).Conditions
			c.runs(st)
		}, warning(checkDaemon, "daemon.stopping: plugbeat is stopping", "wait")},
		{"a daemon with something to tell", func(c *installation) { c.runs(clitest.Status()) }, warning(checkWebhook, "webhook.opened: webhook old app is failing", "plugbeat webhook enable 'old app'")},
		{"a daemon that heard of the clock", func(c *installation) {
			st := clitest.Status()
			st.Conditions = health.Judge(health.Facts{Now: clitest.Noon, Clocks: []health.ClockHost{{Host: "a", Ahead: time.Hour, Answers: 2}}}).Conditions
			c.runs(st)
		}, problem(checkClock, "1h ahead of that of a", "timedatectl")},
		{"config changed since", func(c *installation) {
			c.runs(clitest.Status())
			must(t, os.Chtimes(c.path("config.yaml"), clitest.Noon, clitest.Noon.Add(-5*time.Minute)))
		}, warning(checkConfig, "changed 5m ago, after the daemon started", "restart")},
		{"key changed since", func(c *installation) {
			c.runs(clitest.Status())
			must(t, os.Chtimes(c.path("sealing_key"), clitest.Noon, clitest.Noon.Add(-5*time.Minute)))
		}, warning(checkSecret, "changed 5m ago, after the daemon started", "right one")},
		{"socket open to all", func(c *installation) { c.runs(clitest.Status()); must(t, os.Chmod(c.daemon.Socket, 0o777)) }, problem(checkDaemon, "lets every user of this machine operate", "chmod 660")},
		{"a daemon that is no plugbeat", func(c *installation) {
			c.runs(clitest.Status())
			c.args = []string{"--socket", clitest.NewDaemon(t).Socket}
		}, problem(checkDaemon, "is it a plugbeat daemon", "log")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newInstallation(t)
			tc.ruin(c)
			d, _ := c.examine()
			for _, f := range d.Findings {
				text := f.Text
				if f.Subject != "" {
					text = f.Subject + ": " + f.Text
				}
				if f.Result == tc.want.result && f.Check == tc.want.check && strings.Contains(text, tc.want.text) && strings.Contains(f.Mend, tc.want.mend) {
					return
				}
			}
			t.Errorf("not found: %+v\n%s", tc.want, pretty(d))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func pretty(v any) string {
	b, _ := json.MarshalIndent(v, "", "  ")
	return string(b)
}

// TestDoctorOfTheService looks at units: as they are written, edited, of another
// version, and hidden; and at what systemd says.
func TestDoctorOfTheService(t *testing.T) {
	const show = "systemctl show plugbeat.service --property=ActiveState,UnitFileState,NeedDaemonReload,NRestarts,Result"
	const cat = "systemctl cat plugbeat.service"
	packaged, err := systemd.Unit(systemd.PackagedExe)
	must(t, err)
	own, err := systemd.Unit("/usr/local/bin/plugbeat")
	must(t, err)
	for _, tc := range []struct {
		name   string
		set    func(l *clitest.Lab)
		result string
		text   string
		mend   string
	}{
		{"none", func(*clitest.Lab) {}, "", "", ""},
		{"own", func(l *clitest.Lab) { l.Put(machine.OwnUnit, systemd.Marked(own)) }, resultOK, machine.OwnUnit + ": as this version writes it", ""},
		{"packaged", func(l *clitest.Lab) { l.Put(machine.PackagedUnits[0], packaged) }, resultOK, machine.PackagedUnits[0] + ": as this version writes it", ""},
		{"edited", func(l *clitest.Lab) { l.Put(machine.OwnUnit, systemd.Marked(own)+"LimitNOFILE=4096\n") }, resultWarning, "it was edited by hand", "systemctl edit plugbeat\nthen move that file away"},
		{"of somebody else", func(l *clitest.Lab) { l.Put(machine.OwnUnit, "[Service]\nExecStart=/usr/local/bin/plugbeat serve\n") }, resultWarning, "written by somebody else", "drop-in"},
		{"of another version", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(strings.Replace(own, "Type=notify", "Type=exec", 1)))
		}, resultWarning, "another version of plugbeat wrote it", "plugbeat init --systemd"},
		{"packaged and edited", func(l *clitest.Lab) { l.Put(machine.PackagedUnits[0], packaged+"LimitNOFILE=4096\n") }, resultWarning, "it is not what this version of plugbeat installs", "systemctl edit plugbeat"},
		{"hidden", func(l *clitest.Lab) {
			l.Put(machine.PackagedUnits[0], packaged)
			l.Put(machine.OwnUnit, systemd.Marked(own))
		}, resultWarning, "it hides the package's unit " + machine.PackagedUnits[0], "systemctl edit"},
		{"no binary", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			_ = os.Remove(l.At("/usr/local/bin/plugbeat"))
		}, resultProblem, "it runs /usr/local/bin/plugbeat, which is not there", "init --systemd"},
		{"with a drop-in", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Put(machine.OwnUnit+".d/override.conf", "[Service]\n")
		}, resultOK, "1 drop-in beside the unit", ""},
		{"active", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Out[show] = "ActiveState=active\nUnitFileState=enabled\n"
		}, resultOK, "plugbeat.service: active", ""},
		{"failed", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Out[show] = "ActiveState=failed\nResult=watchdog\n"
		}, resultProblem, "it failed (watchdog)", "journalctl"},
		{"inactive", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Out[show] = "ActiveState=inactive\n"
		}, resultWarning, "it is inactive", "systemctl start"},
		{"disabled", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Out[show] = "ActiveState=active\nUnitFileState=disabled\n"
		}, resultWarning, "does not start at boot", "systemctl enable"},
		{"not reloaded", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Out[show] = "NeedDaemonReload=yes\n"
		}, resultWarning, "changed since systemd read it", "daemon-reload"},
		{"restarting", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Out[show] = "ActiveState=active\nNRestarts=9\n"
		}, resultWarning, "restarted it 9 times", "journalctl"},
		{"without credentials", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Put("/etc/plugbeat/secrets/sealing_key", "x")
			l.Out[show] = "ActiveState=activating\n"
			l.Out[cat] = own + "# override.conf\n[Service]\nLoadCredential = \n"
		}, resultProblem, "it hands the daemon no credentials", "under [Service]: LoadCredential=plugbeat:/etc/plugbeat/secrets"},
		{"with credentials", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Put("/etc/plugbeat/secrets/sealing_key", "x")
			l.Out[show] = "ActiveState=active\n"
			l.Out[cat] = own + "# override.conf\n[Service]\nWatchdogSec=2s\n"
		}, resultOK, "plugbeat.service: active", ""},
		{"credentials emptied and given again", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Put("/etc/plugbeat/secrets/sealing_key", "x")
			l.Out[show] = "ActiveState=active\n"
			l.Out[cat] = own + "# override.conf\n[Service]\nLoadCredential = \nLoadCredential = plugbeat:/etc/plugbeat/secrets\n"
		}, resultOK, "plugbeat.service: active", ""},
		{"no answer", func(l *clitest.Lab) {
			l.Put(machine.OwnUnit, systemd.Marked(own))
			l.Fail[show] = errors.New("Failed to connect to bus")
		}, resultWarning, "systemd does not tell of it", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newInstallation(t)
			c.Put("/usr/local/bin/plugbeat", "")
			c.Put(systemd.PackagedExe, "")
			c.Out[show] = "ActiveState=active\nUnitFileState=enabled\n"
			tc.set(c.Lab)
			d, _ := c.examine()
			// The service's finding is there, and no other says worse of it.
			found, worse := tc.result == "", ""
			for _, f := range d.Findings {
				if f.Check != checkService {
					continue
				}
				if tc.result == "" || f.Result == resultProblem && tc.result != resultProblem || f.Result == resultWarning && tc.result == resultOK {
					worse = f.Result + ": " + f.Text
				}
				found = found || f.Result == tc.result && strings.Contains(f.Subject+": "+f.Text, tc.text) && strings.Contains(f.Mend, tc.mend)
			}
			if !found || worse != "" {
				t.Errorf("want %s %q: found %t, beside it %q\n%s", tc.result, tc.text, found, worse, pretty(d))
			}
		})
	}
}

// TestDoctorListeners holds what is said of a listener of a running daemon.
func TestDoctorListeners(t *testing.T) {
	plugbeat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			_, _ = fmt.Fprintln(w, `{"status":"ok"}`)
		}
	}))
	defer plugbeat.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for _, tc := range []struct{ listen, result, text string }{
		{plugbeat.Listener.Addr().String(), resultOK, "the daemon answers at"},
		{other.Listener.Addr().String(), resultProblem, "something that is not plugbeat answers at"},
		{"127.0.0.1:1", resultProblem, "the daemon does not answer at 127.0.0.1:1"},
	} {
		c := newInstallation(t)
		c.runs(clitest.Status())
		c.replace("config.yaml", `api: {listen: ""}`, "api: {listen: '"+tc.listen+"'}")
		d, _ := c.examine()
		found := false
		for _, f := range d.Findings {
			found = found || f.Check == checkListener && f.Result == tc.result && strings.HasPrefix(f.Text, tc.text)
		}
		if !found {
			t.Errorf("%s: %s\n%s", tc.listen, tc.text, pretty(d))
		}
	}
}
