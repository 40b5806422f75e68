// Package badinput gives the real binary what it cannot take, and holds it to one
// rule: it ends or answers with one clear message that names the thing, its value
// and what to do, and nothing has changed. What a package can show by itself
// (config, payloads, the wire) is tested there.
package badinput

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"plugbeat/adminapi"
	"plugbeat/test/daemon"
)

const stranger = "00000000-0000-4000-8000-000000000001" // an id that nothing has

// folder is a daemon's folder whose listeners are off or on ports of their own.
func folder(t *testing.T) *daemon.Daemon {
	return daemon.New(t, func(config string) string {
		return daemon.Ports(config)
	})
}

// used is a folder whose data file has vehicles, a webhook, subscriptions and a token in it.
func used(t *testing.T) *daemon.Daemon {
	t.Helper()
	d := folder(t)
	d.Start()
	d.Must("webhook", "add", "--name", "home", "--callback", "https://receiver.example/hook")
	d.Must("subscribe", "home", "--all")
	d.Must("token", "add", "app", "--access")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	return d
}

// contents is every file in the folder with a sum of its bytes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b.WriteString(path)
		if e.Type().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(text)
			b.Write(sum[:])
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var trace = regexp.MustCompile(`(?m)^goroutine \d+|^panic:|runtime error|\.go:\d+`)

// complaint holds a message to the rule: one line that begins with the program's name,
// at most with hints below it, each of the words in it, and no trace.
func complaint(t *testing.T, output string, words ...string) {
	t.Helper()
	var first []string
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "plugbeat: ") {
			first = append(first, line)
		}
	}
	if len(first) != 1 {
		t.Errorf("%d messages instead of one:\n%s", len(first), output)
	}
	if found := trace.FindString(output); found != "" {
		t.Errorf("it shows its inside (%q):\n%s", found, output)
	}
	for _, w := range words {
		if !strings.Contains(output, w) {
			t.Errorf("it does not say %q:\n%s", w, output)
		}
	}
}

// refuses runs serve in the folder and holds it to the rule.
func refuses(t *testing.T, d *daemon.Daemon, words ...string) {
	t.Helper()
	before := contents(t, d.Dir)
	output, code := d.Serve()
	want := 1
	switch { // a service manager need not try again
	case strings.Contains(output, "check-config"):
		want = 78
	case strings.Contains(output, " is damaged"), strings.Contains(output, "newer version"), strings.Contains(output, "another key"):
		want = 65
	}
	if code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
	complaint(t, output, words...)
	if contents(t, d.Dir) != before {
		t.Error("a file changed, came or went")
	}
}

func TestSecondDaemon(t *testing.T) {
	d := folder(t)
	d.Start()
	output, code := d.Beside().Serve()
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	complaint(t, output, d.DataFile(), "in use", "stop it")
	// The first goes on, and its socket is still its own.
	if status := d.Must("status"); !strings.Contains(status, d.DataFile()) {
		t.Errorf("the first daemon answers:\n%s", status)
	}
	d.Must("webhook", "add", "--name", "later", "--callback", "https://receiver.example/hook")
}

func TestOccupiedPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	d := used(t)
	for _, listener := range []string{"api", "admin"} {
		edit(t, d.Config(), func(text string) string {
			return regexp.MustCompile(`(`+listener+`:\s+listen: ).*`).ReplaceAllString(text, "${1}"+ln.Addr().String())
		})
		refuses(t, d, "http."+listener+".listen", ln.Addr().String(), "is taken", "choose another port")
		edit(t, d.Config(), func(text string) string { return strings.ReplaceAll(text, ln.Addr().String(), `""`) })
	}
	d.Start()
}

func TestManagementToken(t *testing.T) {
	const setting = "application.management_token_file"
	d := used(t)
	file := filepath.Join(d.Dir, "management_token")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, []byte("hunter2-is-short\n"))
	refuses(t, d, setting, file, "16 characters", "at least 32", "openssl rand")
	if out, _ := d.Serve(); strings.Contains(out, "hunter2") {
		t.Errorf("the token is shown:\n%s", out)
	}
	write(t, file, nil)
	refuses(t, d, setting, file, "at least 32")
	write(t, file, append(bytes.Repeat([]byte("a"), 40), "\xff\xfe"...))
	refuses(t, d, setting, file, "ASCII")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refuses(t, d, setting, file, "no such file", "openssl rand")
	edit(t, d.Config(), func(text string) string {
		return regexp.MustCompile(`management_token_file: .*`).ReplaceAllString(text, `management_token_file: ""`)
	})
	refuses(t, d, setting, "not set", "systemd credential")
	write(t, file, good)
	edit(t, d.Config(), func(text string) string {
		return strings.Replace(text, `management_token_file: ""`, "management_token_file: management_token", 1)
	})
	d.Start()
}

func TestSealingKey(t *testing.T) {
	d := used(t)
	file := filepath.Join(d.Dir, "sealing_key")
	write(t, file, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"))
	refuses(t, d, d.DataFile(), "another key", "the key it was created with")
	write(t, file, []byte("short\n"))
	refuses(t, d, "key_file", file, "32 bytes", "put back the key")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refuses(t, d, "key_file", file, "no such file", "put back the key that "+d.DataFile()+" was created with", "a new one cannot open it")
}

// A config that cannot be taken stops the start before anything is touched.
func TestConfig(t *testing.T) {
	d := used(t)
	good, err := os.ReadFile(d.Config())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line  string
		words []string
	}{
		{"cadenze: {}", []string{`cadenze: this version has no such key`, "did you mean cadence?"}},
		{"grace: 30", []string{`grace "30"`, "it has no unit", "like 45s"}},
		{"grace: -5m", []string{`grace "-5m"`, "negative", "like 45s"}},
		{"grace: 0", []string{`grace "0"`, "like 45s"}},
		{"retention: {payloads: 0s}", []string{`retention.payloads "0s"`, "1ms to"}},
		{"webhooks: {signing: \"\xff\"}", []string{"UTF-8"}},
		{"http: {api: {listen: 8765}}", []string{`http.api.listen "8765"`, "host:port"}},
		{"application: {redirect_uris: [\"https://u:hunter2%zz@h/\"]}", []string{"application.redirect_uris[0]"}},
	} {
		section, _, _ := strings.Cut(c.line, ":")
		// Each section once: what the line replaces goes.
		text := regexp.MustCompile(`(?m)^`+section+`:.*\n(^[ \t#].*\n)*`).ReplaceAllString(string(good), "")
		write(t, d.Config(), []byte(text+c.line+"\n"))
		refuses(t, d, append(c.words, d.Config(), "check-config")...)
		out, errs, code := d.Run("check-config", d.Config())
		if code != 1 {
			t.Errorf("check-config %s: exit code %d", c.line, code)
		}
		complaint(t, out+errs, c.words...)
		if strings.Contains(out+errs, "hunter2") {
			t.Errorf("a password is shown: %s", errs)
		}
	}
	for _, c := range []struct{ spec, why string }{
		{"30", "no unit"}, {"-5m", "more than nothing"}, {"0", "more than nothing"}, {"10s", "1m"},
		{"0 0 31 2 *", "no such day"}, {"TZ=0", "zone"}, {"TZ=0 * * * * *", "zone"}, {"61 * * * *", "61"}, {"@every 1s", ""},
	} {
		write(t, d.Config(), bytes.Replace(good, []byte("unplugged: 1h"), []byte(`unplugged: "`+c.spec+`"`), 1))
		refuses(t, d, `cadence.unplugged "`+c.spec+`"`, c.why, "allowed: a duration", "cron expression")
	}
	write(t, d.Config(), good)
	d.Start()
}

func TestDataFile(t *testing.T) {
	d := used(t)
	good, err := os.ReadFile(d.DataFile())
	if err != nil {
		t.Fatal(err)
	}
	zero := func(from, to int) []byte {
		b := bytes.Clone(good)
		clear(b[from:min(to, len(b))])
		return b
	}
	garbage := bytes.Clone(good)
	for i := range garbage {
		garbage[i] ^= byte(i*7 + 1)
	}
	for _, c := range []struct {
		name string
		file []byte
	}{
		{"empty", nil},
		{"cut after 100 bytes", good[:100]},
		{"cut after its first pages", good[:2*4096]},
		{"cut in the middle", good[:len(good)/2]},
		{"zeroed", make([]byte, len(good))},
		{"zeroed behind its head", zero(2*4096, len(good))},
		{"head zeroed", zero(0, 2*4096)},
		{"garbage", garbage},
		{"another program's", []byte("SQLite format 3\x00" + strings.Repeat("x", 1<<16))},
	} {
		t.Run(c.name, func(t *testing.T) {
			write(t, d.DataFile(), c.file)
			refuses(t, d, d.DataFile(), "is damaged", "plugbeat restore BACKUP")
			out, errs, code := d.Run("check")
			if code != 1 {
				t.Errorf("check: exit code %d", code)
			}
			complaint(t, out+errs, d.DataFile(), "is damaged")
		})
	}
	write(t, d.DataFile(), good)
	d.Start()
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("the good file again: %s", out)
	}
}

func TestNewerDataFile(t *testing.T) {
	d := used(t)
	db, err := bolt.Open(d.DataFile(), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), binary.BigEndian.AppendUint32(nil, 99))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	refuses(t, d, d.DataFile(), "newer version", "schema is 99", "run the newer plugbeat")
	out, errs, code := d.Run("check")
	if code != 1 {
		t.Errorf("check: exit code %d", code)
	}
	complaint(t, out+errs, d.DataFile(), "newer version")
}

// TestCommands types what names nothing or cannot be taken. No command may
// change anything.
func TestCommands(t *testing.T) {
	d := folder(t)
	d.Start()
	d.Must("webhook", "add", "--name", "home", "--callback", "https://receiver.example/hook")
	d.Must("subscribe", "home", "--all")
	state := func() string {
		var all string
		for _, list := range []string{"webhook list", "vehicle list", "delivery list", "token list", "webhook show home"} {
			all += d.Must(append(strings.Fields(list), "--json")...)
		}
		c := d.Client()
		subs, err := c.Subscriptions(context.Background(), "", "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range subs.Items {
			all += s.Webhook.String() + s.Vehicle.String() + s.Anchor.String()
		}
		return all
	}
	before := state()
	add := func(more ...string) []string {
		return append([]string{"webhook", "add", "--name", "new", "--callback", "https://receiver.example/new"}, more...)
	}
	callback := func(uri string) []string { return []string{"webhook", "add", "--name", "new", "--callback", uri} }
	for _, c := range []struct {
		args  []string
		code  int
		words []string
	}{
		{[]string{"webhook", "show", "nope"}, 1, []string{`webhook "nope": not found`, "plugbeat webhook list"}},
		{[]string{"webhook", "show", stranger}, 1, []string{stranger, "not found", "plugbeat webhook list"}},
		{[]string{"webhook", "change", "nope", "--name", "x"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"webhook", "verify", "nope"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"webhook", "test", "nope"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"webhook", "enable", "nope"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"webhook", "disable", "nope"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"webhook", "rm", "nope", "--yes"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"vehicle", "show", stranger}, 1, []string{stranger, "not found", "plugbeat vehicle list"}},
		{[]string{"vehicle", "show", "nope"}, 1, []string{`vehicle "nope": not found`, "plugbeat vehicle list"}},
		{[]string{"vehicle", "read", stranger}, 1, []string{stranger, "not found", "plugbeat vehicle list"}},
		{[]string{"vehicle", "disconnect", stranger, "--yes"}, 1, []string{stranger, "not found"}},
		{[]string{"vehicle", "connect", "--source", "nope"}, 1, []string{`source "nope"`, "fleet"}},
		{[]string{"subscribe", "nope", "--all"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"subscribe", "home", stranger}, 1, []string{stranger, "not found", "plugbeat vehicle list"}},
		{[]string{"subscribe", "home", "--all", "--spread", "30"}, 2, []string{"--spread", "30", "with its unit"}},
		{[]string{"unsubscribe", "nope", stranger}, 1, []string{`webhook "nope": not found`}},
		{[]string{"delivery", "show", stranger}, 1, []string{stranger, "not found", "plugbeat delivery list"}},
		{[]string{"delivery", "show", "nope"}, 2, []string{`"nope" is not a delivery id`, "plugbeat delivery list"}},
		{[]string{"delivery", "list", "--webhook", "nope"}, 1, []string{`webhook "nope": not found`}},
		{[]string{"delivery", "list", "--state", "lost"}, 2, []string{`"lost"`, "waiting, delivered"}},
		{[]string{"token", "rm", "nope", "--yes"}, 1, []string{`token "nope": not found`, "plugbeat token list"}},
		{[]string{"token", "add", "x", "--access", "--vehicle", stranger}, 1, []string{stranger, "not found"}},
		{callback("receiver.example/hook"), 2, []string{`"receiver.example/hook"`, "absolute http or https"}},
		{callback("/hook"), 2, []string{`"/hook"`, "absolute http or https"}},
		{callback("ftp://receiver.example/hook"), 2, []string{"ftp://", "scheme"}},
		{callback("https:///hook"), 2, []string{"no host"}},
		{callback("https://u:hunter2@receiver.example/"), 2, []string{"userinfo"}},
		{callback("https://u:hunter2%zz@receiver.example/"), 2, []string{"not a URI"}},
		{callback("https://receiver.example:99999/"), 2, []string{"99999", "port"}},
		{add("--unplugged", "30"), 1, []string{`cadence.unplugged "30"`, "no unit"}},
		{add("--unplugged=-5m"), 1, []string{`cadence.unplugged "-5m"`, "more than nothing"}},
		{add("--plugged-in", "0"), 1, []string{`cadence.plugged_in "0"`, "from 1m"}},
		{add("--plugged-in", "10s"), 1, []string{`cadence.plugged_in "10s"`, "from 1m"}},
		{add("--unplugged", "0 0 31 2 *"), 1, []string{`cadence.unplugged "0 0 31 2 *"`, "no such day"}},
		{add("--unplugged", "TZ=0"), 1, []string{`cadence.unplugged "TZ=0"`, "zone"}},
		{add("--unplugged", "1h", "--zone", "0"), 1, []string{`cadence.zone "0"`, "IANA"}},
		{add("--id", "nope"), 2, []string{`"nope"`, "UUID"}},
		{add("--signing", "none"), 2, []string{`"none"`, "smartcar, standard or both"}},
		{[]string{"webhook", "change", "home", "--callback", "ftp://x"}, 2, []string{"ftp://x", "scheme"}},
		{[]string{"webhook", "change", "home", "--unplugged", "0"}, 1, []string{`cadence.unplugged "0"`}},
		{[]string{"webhook", "add", "--name", "home", "--callback", "https://receiver.example/"}, 1, []string{"home", "already exists"}},
	} {
		out, errs, code := d.Run(c.args...)
		line := strings.Join(c.args, " ")
		if code != c.code || out != "" {
			t.Errorf("plugbeat %s: exit code %d, want %d; printed %q", line, code, c.code, out)
		}
		complaint(t, errs, c.words...)
		if strings.Contains(errs, "hunter2") {
			t.Errorf("plugbeat %s shows a password: %s", line, errs)
		}
	}
	if after := state(); after != before {
		t.Errorf("something changed:\n%s\nwas\n%s", after, before)
	}
}

// TestWarnings: what is allowed but unwise is said once, with what to do, and does not
// stop the start.
func TestWarnings(t *testing.T) {
	d := folder(t)
	file := filepath.Join(d.Dir, "management_token")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	d.Start()
	if n := strings.Count(d.Log(), `"event":"config.warning"`); n != 1 || !strings.Contains(d.Log(), "chmod 600 "+file) {
		t.Errorf("%d warnings:\n%s", n, d.Log())
	}
}

// TestNoDaemon: a command without a daemon says where it looked and how to start one.
func TestNoDaemon(t *testing.T) {
	d := folder(t)
	_, errs, code := d.Run("status")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	complaint(t, errs, adminapi.ErrNoDaemon.Error(), filepath.Join(d.Dir, "data", "plugbeat.sock"), "plugbeat serve --config "+d.Config())
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, file string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, []byte(change(string(text))))
}
