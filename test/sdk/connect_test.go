package sdk

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plugbeat/test/daemon"
)

// served is a daemon with the secrets of the application and of the source.
func served(t *testing.T, config func(string) string) *daemon.Daemon {
	t.Helper()
	d := daemon.New(t, config)
	for name, text := range map[string]string{"app_secret": appSecret, "vendor_secret": "simulator-secret"} {
		if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.Start()
	return d
}

// waiting is a command that waits for an owner.
type waiting struct {
	t   *testing.T
	cmd *exec.Cmd
	out bytes.Buffer
	mu  sync.Mutex
	err bytes.Buffer
	// url and code are what it printed.
	url, code string
	exited    chan error
}

func (w *waiting) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err.Write(b)
}

func (w *waiting) printed() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err.String()
}

var (
	printedURL  = regexp.MustCompile(`(?m)^  (http\S+)$`)
	printedCode = regexp.MustCompile(`(?m)^  ([A-Z0-9]{4}-[A-Z0-9]{4})$`)
)

// wait types vehicle connect and returns when it waits.
func wait(t *testing.T, d *daemon.Daemon, source string) *waiting {
	t.Helper()
	w := &waiting{t: t, exited: make(chan error, 1)}
	w.cmd = exec.Command(daemon.Binary(t), "vehicle", "connect", "--source", source)
	w.cmd.Env = append(os.Environ(), "PLUGBEAT_CONFIG="+d.Config())
	w.cmd.Stdout, w.cmd.Stderr = &w.out, w
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { w.exited <- w.cmd.Wait() }()
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	for end := time.Now().Add(20 * time.Second); !strings.Contains(w.printed(), "waiting until"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not wait: %s", w.printed())
		}
	}
	if m := printedURL.FindStringSubmatch(w.printed()); m != nil {
		w.url = m[1]
	}
	if m := printedCode.FindStringSubmatch(w.printed()); m != nil {
		w.code = m[1]
	}
	return w
}

// ends waits for the command and returns all it printed, and its exit code.
func (w *waiting) ends() (string, int) {
	w.t.Helper()
	select {
	case <-w.exited: //nolint:errcheck // the exit code tells
	case <-time.After(20 * time.Second):
		w.t.Fatalf("it does not end: %s", w.printed())
	}
	return w.out.String() + w.printed(), w.cmd.ProcessState.ExitCode()
}

func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// body returns what reads an answer to its end.
func body(t *testing.T) func(*http.Response, error) string {
	t.Helper()
	return func(res *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// An operator without an application: the command prints an address, waits, and lists
// what the owner connected, at Smartcar and by a one-time code; it tells of an owner
// who refuses, and Ctrl-C ends it.
func TestVehicleConnect(t *testing.T) {
	vendor, origin := upstream(t)
	api := daemon.FreeAddress(t)
	d := served(t, vendorConfig(api, origin))
	w := wait(t, d, "smartcar")
	page := body(t)(browser(t).Get(w.url))
	if !strings.Contains(page, "Connected") {
		t.Errorf("the owner sees %s", page)
	}
	out, code := w.ends()
	for _, c := range vendor.Fleet().Vehicles() {
		if !strings.Contains(out, c.ID.String()) || !strings.Contains(out, c.Model) {
			t.Errorf("%s is not listed:\n%s", c.ID, out)
		}
	}
	if code != 0 || !strings.Contains(d.Must("vehicle", "list"), "smartcar") {
		t.Errorf("exit code %d", code)
	}
	t.Logf("plugbeat vehicle connect --source smartcar\n%s", out)

	vendor.RefuseConnect("access_denied")
	w = wait(t, d, "smartcar")
	page = body(t)(browser(t).Get(w.url))
	if out, code := w.ends(); code != 1 || !strings.Contains(out, "access_denied") || !strings.Contains(page, "access_denied") {
		t.Errorf("exit code %d: %s, the owner sees %s", code, out, page)
	}

	w = wait(t, d, "smartcar")
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _, code := w.ends(); code == 0 {
		t.Error("an interrupted command ends well")
	}
	if page := body(t)(browser(t).Get(w.url)); !strings.Contains(page, "is over") {
		t.Errorf("the address of a command that ended shows %s", page)
	}

	w = wait(t, d, "smartcar")
	d.Kill()
	d.Start()
	if out, code := w.ends(); code != 1 {
		t.Errorf("the daemon was killed: exit code %d: %s", code, out)
	}
}

var hidden = regexp.MustCompile(`name="login" value="([^"]+)"`)

func TestVehicleConnectByCode(t *testing.T) {
	api := daemon.FreeAddress(t)
	d := served(t, func(config string) string {
		return strings.NewReplacer("127.0.0.1:8765", api, "127.0.0.1:8766", "127.0.0.1:0").Replace(config)
	})
	w := wait(t, d, "fleet")
	if w.code == "" {
		t.Fatalf("no code: %s", w.printed())
	}
	b := browser(t)
	first := body(t)(b.Get(w.url))
	second := body(t)(b.PostForm("http://"+api+"/oauth/code", url.Values{"login": {hidden.FindStringSubmatch(first)[1]}, "code": {w.code}}))
	ids := regexp.MustCompile(`name="vehicle" value="([^"]+)"`).FindAllStringSubmatch(second, -1)
	if len(ids) != 3 {
		t.Fatalf("%s", second)
	}
	body(t)(b.PostForm("http://"+api+"/oauth/consent", url.Values{"login": {hidden.FindStringSubmatch(second)[1]}, "vehicle": {ids[1][1]}, "answer": {"allow"}}))
	out, code := w.ends()
	if code != 0 || !strings.Contains(out, ids[1][1]) || strings.Contains(out, ids[0][1]) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if out := d.Must("vehicle", "connect", "--source", "fleet", "--now"); !strings.Contains(out, ids[0][1]) {
		t.Error(out)
	}
	if _, errs, code := d.Run("vehicle", "connect", "--source", "nope"); code != 1 || !strings.Contains(errs, "fleet") {
		t.Errorf("%d %s", code, errs)
	}
}

// An application that moves here brings refresh tokens of the vendor's; what it gets
// for one outlives kill -9, and so does what a refresh gives.
func TestApplicationMovesHere(t *testing.T) {
	vendor, origin := upstream(t)
	api := daemon.FreeAddress(t)
	d := served(t, vendorConfig(api, origin))
	type pair struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Error   string `json:"error"`
	}
	refresh := func(token string) (p pair) {
		t.Helper()
		r, err := http.NewRequest("POST", "http://"+api+"/oauth/token", strings.NewReader(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(appID, appSecret)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := json.Unmarshal([]byte(body(t)(http.DefaultClient.Do(r))), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	vehicles := func(access string) int {
		t.Helper()
		r, err := http.NewRequest("GET", "http://"+api+"/v2.0/vehicles", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+access)
		var list struct {
			Vehicles []string `json:"vehicles"`
		}
		if err := json.Unmarshal([]byte(body(t)(http.DefaultClient.Do(r))), &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Vehicles)
	}
	theirs := vendor.RefreshToken()
	first := refresh(theirs)
	d.Kill()
	d.Start()
	if first.Error != "" || vehicles(first.Access) != 3 {
		t.Fatalf("%+v, and %d vehicles after kill -9", first, vehicles(first.Access))
	}
	second := refresh(first.Refresh)
	d.Kill()
	d.Start()
	if second.Error != "" || vehicles(second.Access) != 3 || vehicles(first.Access) != 3 {
		t.Errorf("%+v", second)
	}
	asked := vendor.Requests()["POST /oauth/token"]
	if again := refresh(theirs); again.Error != "" || vehicles(again.Access) != 3 {
		t.Errorf("the vendor's token again: %+v", again)
	}
	for range 3 {
		if bad := refresh("nobody"); bad.Error != "invalid_grant" {
			t.Errorf("%+v", bad)
		}
	}
	if n := vendor.Requests()["POST /oauth/token"] - asked; n != 1 {
		t.Errorf("the vendor was asked %d times for one bad token", n)
	}
	raw, err := os.ReadFile(d.DataFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{first.Access, first.Refresh, second.Access, second.Refresh, theirs} {
		if bytes.Contains(raw, []byte(secret)) || strings.Contains(d.Log(), secret) {
			t.Error("a token is in the data file or in the log as it is")
		}
	}
}
