package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plugbeat/adminapi"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/systemd"
	"plugbeat/words"
)

// checkDaemon tells whether one runs, answers and is ready.
func (d *doctor) checkDaemon() {
	if info, err := os.Lstat(d.socket); err == nil && info.Mode()&fs.ModeSocket != 0 && info.Mode().Perm()&0o002 != 0 {
		d.problem(checkDaemon, d.socket, "chmod 660 "+words.Shell(d.socket), "its mode %04o lets every user of this machine operate the daemon",
			info.Mode().Perm())
	}
	st := d.st
	if st == nil {
		switch {
		case d.lost:
			d.warn(checkDaemon, "", "correct the config, or name the socket: --socket PATH",
				"whether one runs cannot be told: the config would say where its socket is")
		case errors.Is(d.away, fs.ErrPermission):
			text, mend := terminal.ClosedSocket(d.socket)
			d.problem(checkDaemon, d.socket, mend, "%s", text)
		case errors.Is(d.away, adminapi.ErrNoAnswer):
			d.problem(checkDaemon, d.socket, "look at its log (journalctl -u plugbeat), or restart it", "it takes calls and does not answer")
		case errors.Is(d.away, adminapi.ErrNoDaemon):
			start := "plugbeat serve --config FILE"
			if d.file != "" {
				start = "plugbeat serve --config " + words.Shell(d.file)
			}
			if d.isService() {
				start = "systemctl start plugbeat"
			}
			d.warn(checkDaemon, d.socket, start, "none runs")
		default:
			d.problem(checkDaemon, d.socket, "look at its log", "%v", d.away)
		}
		return
	}
	if v := st.Version.Version; v != d.Build.Version {
		d.warn(checkDaemon, "version", "restart the daemon, or use the plugbeat that it is of", "the daemon runs %s, and this is %s", v,
			d.Build.Version)
	}
	if st.Ready {
		d.ok(checkDaemon, d.socket, "%s has been running for %s and is ready", st.Version.Version, words.Span(d.now.Sub(st.StartedAt)))
	}
}

// showConditions shows what the daemon itself says is wrong.
func (d *doctor) showConditions() {
	switch {
	case d.st == nil:
	case len(d.st.Conditions) == 0:
		d.ok(checkDaemon, "conditions", "none")
	default:
		d.conditions(d.st.Conditions)
	}
}

// checkListeners tells of each whether the daemon answers at it, or whether it could
// be bound.
func (d *doctor) checkListeners(ctx context.Context) {
	if d.cfg == nil {
		return
	}
	for _, l := range [][2]string{{"http.api.listen", d.cfg.HTTP.API.Listen}, {"http.admin.listen", d.cfg.HTTP.Admin.Listen}} {
		setting, at := l[0], l[1]
		_, port, err := net.SplitHostPort(at)
		n, perr := strconv.ParseUint(port, 10, 16)
		switch {
		case at == "":
			d.ok(checkListener, setting, "off")
		case err != nil || perr != nil || n == 0:
			d.ok(checkListener, setting, "%s: a free port at each start", at)
		case d.st != nil:
			d.answers(ctx, setting, at, uint16(n))
		default:
			d.binds(ctx, setting, at, uint16(n))
		}
	}
}

// answers looks whether the daemon answers at its listener.
func (d *doctor) answers(ctx context.Context, setting, at string, port uint16) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	host, _, _ := net.SplitHostPort(at)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	const mend = "restart the daemon: it may run with another config"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, strconv.Itoa(int(port)))+"/healthz", nil)
	if err != nil {
		d.problem(checkListener, setting, mend, "%s: %v", at, err)
		return
	}
	t := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	res, err := t.RoundTrip(req)
	if err != nil {
		d.problem(checkListener, setting, mend, "the daemon does not answer at %s: %v", at, err)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) //nolint:errcheck // what came is what is looked at
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"status"`) {
		d.problem(checkListener, setting, mend, "something that is not plugbeat answers at %s (status %d)", at, res.StatusCode)
		return
	}
	d.ok(checkListener, setting, "the daemon answers at %s", at)
}

// binds looks whether the daemon could listen there.
func (d *doctor) binds(ctx context.Context, setting, at string, port uint16) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
	switch {
	case err == nil:
		_ = ln.Close()
		d.ok(checkListener, setting, "%s is free", at)
	case errors.Is(err, syscall.EADDRINUSE):
		which := fmt.Sprintf("sudo ss -ltnp 'sport = :%d'", port)
		d.problem(checkListener, setting, "see which: "+which+"\nthen stop it, or choose another port", "%s is taken by another program", at)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		d.problem(checkListener, setting, "set it to an address that this machine has, like 127.0.0.1:"+strconv.Itoa(int(port)),
			"this machine has no address %s%s", at, perhapsIPv6(at))
	case errors.Is(err, fs.ErrPermission):
		d.warn(checkListener, setting, sudo, "this user may not listen at %s: whether it is free cannot be told", at)
	default:
		d.problem(checkListener, setting, "choose another address", "%s: %v", at, err)
	}
}

// perhapsIPv6 guesses why an address is not there.
func perhapsIPv6(at string) string {
	if strings.HasPrefix(at, "[") {
		return "; is IPv6 switched off?"
	}
	return ""
}

// checkService looks at the systemd unit, where there is one or should be.
func (d *doctor) checkService(ctx context.Context) {
	own, packaged := d.m.There(machine.OwnUnit), d.m.PackagedUnit()
	if !own && packaged == "" {
		if d.m.SystemdRuns() && d.file == d.m.At(machine.ConfigDir+"/config.yaml") {
			d.warn(checkService, "", "plugbeat init --systemd", "there is a config in %s and no unit: nothing starts the daemon at boot",
				machine.ConfigDir)
		}
		return
	}
	path := packaged
	if own {
		path = machine.OwnUnit
		if packaged != "" {
			d.warn(checkService, machine.OwnUnit, "move it away to use the package's, and keep changes in a drop-in: systemctl edit plugbeat",
				"it hides the package's unit %s", packaged)
		}
	}
	d.checkUnit(path)
	if d.m.SystemdRuns() {
		d.checkState(ctx)
	}
}

// checkUnit holds the unit against the one that this version would write.
func (d *doctor) checkUnit(path string) {
	const dropIn = "keep changes of your own in a drop-in, which upgrades leave alone: systemctl edit plugbeat"
	b, err := os.ReadFile(d.m.At(path))
	if err != nil {
		d.warn(checkService, path, sudo, "it cannot be read: %s", reasonOf(err))
		return
	}
	text := string(b)
	exe := ""
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(l, "ExecStart="); ok {
			exe, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
		}
	}
	want, err := systemd.Unit(exe)
	if path == machine.OwnUnit && err == nil {
		want = systemd.Marked(want)
	}
	again := fmt.Sprintf("%s\nthen move that file away and have it written anew: mv %[2]s %[2]s.old && plugbeat init --systemd", dropIn, path)
	switch {
	case path == machine.OwnUnit && systemd.Edited(text):
		d.warn(checkService, path, again, "it was edited by hand, or written by somebody else: "+
			"an upgrade does not change it, and this version's hardening and watchdog may be missing")
	case err != nil || text != want && path != machine.OwnUnit:
		d.warn(checkService, path, dropIn+"\nthen put the package's own file back: apt install --reinstall plugbeat, or dnf reinstall plugbeat",
			"it is not what this version of plugbeat installs")
	case text != want:
		d.warn(checkService, path, "plugbeat init --systemd", "another version of plugbeat wrote it")
	default:
		d.ok(checkService, path, "as this version writes it")
	}
	if exe != "" && !d.m.There(exe) {
		d.problem(checkService, path, "put the binary there, or: plugbeat init --systemd", "it runs %s, which is not there", exe)
	}
	if entries, err := os.ReadDir(d.m.At(machine.OwnUnit + ".d")); err == nil && len(entries) > 0 {
		d.ok(checkService, machine.OwnUnit+".d", "%s beside the unit", words.Count(len(entries), "drop-in"))
	}
}

// manyRestarts is how often systemd may have restarted the daemon before it is told.
const manyRestarts = 3

// checkState asks systemd how the service fares.
func (d *doctor) checkState(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := d.m.Systemctl(ctx, "show", systemd.UnitName,
		"--property=ActiveState,UnitFileState,NeedDaemonReload,NRestarts,Result")
	if err != nil {
		d.warn(checkService, systemd.UnitName, "", "systemd does not tell of it: %v", err)
		return
	}
	is := map[string]string{}
	for l := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), "=")
		is[name] = value
	}
	const log = "journalctl -u plugbeat -n 50"
	switch is["ActiveState"] {
	case "active":
		d.ok(checkService, systemd.UnitName, "active")
	case "failed":
		d.problem(checkService, systemd.UnitName, log+", then: systemctl restart plugbeat", "it failed (%s)", is["Result"])
	default:
		d.warn(checkService, systemd.UnitName, "systemctl start plugbeat", "it is %s", terminal.OrDash(is["ActiveState"]))
	}
	if s := is["UnitFileState"]; s == "disabled" || s == "masked" {
		d.warn(checkService, systemd.UnitName, "systemctl enable plugbeat", "it is %s: it does not start at boot", s)
	}
	if secrets := machine.ConfigDir + "/" + config.SecretsDirName; d.m.There(secrets) && d.credentialsEmptied(ctx) {
		d.problem(checkService, systemd.UnitName, "systemctl edit plugbeat, and under [Service]: LoadCredential=plugbeat:"+secrets,
			"it hands the daemon no credentials: a drop-in empties LoadCredential=, and only root reads %s", secrets)
	}
	if is["NeedDaemonReload"] == "yes" {
		d.warn(checkService, systemd.UnitName, "systemctl daemon-reload, then: systemctl restart plugbeat",
			"the unit was changed since systemd read it")
	}
	if n, err := strconv.Atoi(is["NRestarts"]); err == nil && n > manyRestarts {
		d.warn(checkService, systemd.UnitName, log, "systemd restarted it %d times", n)
	}
}

// credentialsEmptied reads the unit with its drop-ins: systemctl show prints no
// LoadCredential=, only that it cannot.
func (d *doctor) credentialsEmptied(ctx context.Context) bool {
	out, err := d.m.Systemctl(ctx, "cat", systemd.UnitName)
	if err != nil {
		return false
	}
	emptied := false
	for l := range strings.Lines(out) {
		name, value, _ := strings.Cut(l, "=") // systemd takes blanks around it
		if strings.TrimSpace(name) == "LoadCredential" {
			emptied = strings.TrimSpace(value) == ""
		}
	}
	return emptied
}
