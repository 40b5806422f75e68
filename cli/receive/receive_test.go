package receive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
	"plugbeat/webhook/signing"
)

// app is a command line of the commands here.
var app = clitest.Commands(ListenCommand, BridgeCommand)

const listenToken = "0123456789abcdef0123456789abcdef"

// listenRun is a listen at work: its lines of JSON, and how it ended.
type listenRun struct {
	t        *testing.T
	callback string
	lines    chan []byte // what it printed
	stop     context.CancelFunc
	code     chan int
	errs     *bytes.Buffer
	key      webhook.Secret
}

// start runs the command with --json with the arguments on a free port.
func start(t *testing.T, command string, args ...string) *listenRun {
	t.Helper()
	dir := t.TempDir()
	token, keys := filepath.Join(dir, "token"), filepath.Join(dir, "keys")
	l := &listenRun{t: t, key: signing.NewKey(), code: make(chan int, 1), errs: &bytes.Buffer{}}
	if err := errors.Join(os.WriteFile(token, []byte(listenToken+"\n"), 0o600), os.WriteFile(keys, []byte("\n"+signing.FormatKey(l.key)+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	r, w := io.Pipe()
	l.lines = make(chan []byte, 100)
	go func() {
		defer close(l.lines)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			l.lines <- bytes.Clone(lines.Bytes())
		}
	}()
	go func() {
		s := terminal.NewSession(terminal.Build{Version: "1.2.3"}, strings.NewReader(""), w, l.errs)
		l.code <- s.Run(ctx, app(s), append([]string{command, "--json", "--listen", "127.0.0.1:0", "--token-file", token, "--key-file", keys}, args...))
		_ = w.Close()
	}()
	t.Cleanup(stop)
	l.callback, _ = l.next()["callback"].(string)
	return l
}

func (l *listenRun) next() map[string]any {
	l.t.Helper()
	b, ok := <-l.lines
	if !ok {
		l.t.Fatalf("nothing more; standard error: %s", l.errs)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		l.t.Fatalf("%s: %v", b, err)
	}
	return m
}

// send posts a body signed as plugbeat signs it, changed by edit, and returns the
// answer and the line printed of it.
func (l *listenRun) send(body []byte, edit func(http.Header)) (status int, answer string, line map[string]any) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.callback, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	now := time.Now()
	req.Header[signing.HeaderSmartcar] = []string{signing.Smartcar([]byte(listenToken), body)}
	req.Header[signing.HeaderID] = []string{listenID.String()}
	req.Header[signing.HeaderTimestamp] = []string{strconv.FormatInt(now.Unix(), 10)}
	req.Header[signing.HeaderSignature] = []string{signing.Standard(l.key, listenID, now, body)}
	if edit != nil {
		edit(req.Header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b)), l.next()
}

// end stops listening and returns the summary and the exit code.
func (l *listenRun) end() (map[string]any, int) {
	l.t.Helper()
	l.stop()
	sum := l.next()
	return sum, <-l.code
}

var listenID = uuid.MustParse("0194fdc2-fa2f-7cc0-81d3-ff12045b73c8")

var listenHook = uuid.MustParse("2b3a7c1e-8f0d-4f6e-9a55-3f1d2c4b5a69")

// TestListenChecks: challenges of the alphabet are answered and no others; a wrong
// signature of either kind is refused and makes the exit code 1; a repeat is told.
func TestListenChecks(t *testing.T) {
	l := start(t, "listen")
	challenge := signing.NewChallenge()
	status, answer, line := l.send(payload.Verify(listenHook, challenge), nil)
	if err := signing.CheckAnswer([]byte(listenToken), challenge, []byte(answer)); err != nil || status != 200 || line["kind"] != "challenge" {
		t.Errorf("challenge: %d %s: %v; %v", status, answer, err, line)
	}
	for _, odd := range []string{`{"version":"2.0","payload":{}}`, "", "abc", strings.Repeat("a", 65)} {
		if status, answer, _ := l.send(payload.Verify(listenHook, odd), nil); status != 400 || strings.Contains(answer, "challenge") {
			t.Errorf("challenge %q: %d %s; it must not be signed", odd, status, answer)
		}
	}
	body := payload.Test(&webhook.Webhook{ID: listenHook})
	for i, want := range []bool{false, true} {
		status, _, line := l.send(body, nil)
		if status != 200 || line["repeat"] != want || line["sc_signature"] != "right" || line["webhook_signature"] != "right" {
			t.Errorf("delivery %d: %d %v", i, status, line)
		}
	}
	for typ, kind := range map[webhook.Type]string{webhook.TypeSchedule: "schedule", webhook.TypeEventBased: "eventBased"} {
		status, _, line := l.send(payload.Test(&webhook.Webhook{ID: listenHook, Type: typ}), nil)
		happened := map[webhook.Type]any{webhook.TypeEventBased: "CHARGING_STARTED"}[typ]
		if status != 200 || line["kind"] != kind || line["event_type"] != happened || line["vehicle"] == nil || line["sc_signature"] != "right" {
			t.Errorf("%s: %d %v", typ, status, line)
		}
	}
	for name, tc := range map[string]struct {
		edit               func(http.Header)
		smartcar, standard string
		status             int
	}{
		"body of another": {func(h http.Header) {
			h[signing.HeaderSmartcar] = []string{signing.Smartcar([]byte(listenToken), []byte("{}"))}
		}, "wrong", "right", 401},
		"upper case": {func(h http.Header) {
			h[signing.HeaderSmartcar] = []string{strings.ToUpper(signing.Smartcar([]byte(listenToken), body))}
		}, "wrong", "right", 401},
		"another id":  {func(h http.Header) { h[signing.HeaderID] = []string{uuid.NewString()} }, "right", "wrong", 401},
		"an old time": {func(h http.Header) { l.restamp(h, body, time.Now().Add(-6*time.Minute)) }, "right", "wrong", 401},
		"two signatures": {func(h http.Header) {
			h[signing.HeaderSignature] = []string{"v1,AAAA " + signing.Standard(l.key, listenID, time.Now(), body)}
		}, "right", "right", 200},
		"SC-Signature only": {func(h http.Header) { delete(h, signing.HeaderSignature) }, "right", "absent", 200},
		"standard only":     {func(h http.Header) { delete(h, signing.HeaderSmartcar) }, "absent", "right", 200},
		"none":              {func(h http.Header) { delete(h, signing.HeaderSmartcar); delete(h, signing.HeaderSignature) }, "absent", "absent", 401},
	} {
		status, _, line := l.send(body, tc.edit)
		if status != tc.status || line["sc_signature"] != tc.smartcar || line["webhook_signature"] != tc.standard {
			t.Errorf("%s: %d %v", name, status, line)
		}
	}
	sum, code := l.end()
	if code != terminal.ExitFailure || sum["wrong_signatures"] != 5.0 || sum["taken"] != 7.0 || sum["repeated"] != 6.0 || sum["challenges_answered"] != 1.0 || sum["refused"] != 4.0 {
		t.Errorf("exit %d, %v", code, sum)
	}
	if !strings.Contains(l.errs.String(), "5 requests without a right signature") {
		t.Errorf("standard error: %s", l.errs)
	}
}

// restamp signs the body as it was at another time.
func (l *listenRun) restamp(h http.Header, body []byte, at time.Time) {
	h[signing.HeaderTimestamp] = []string{strconv.FormatInt(at.Unix(), 10)}
	h[signing.HeaderSignature] = []string{signing.Standard(l.key, listenID, at, body)}
}

// TestListenFails: what was told to fail fails, challenges do not.
func TestListenFails(t *testing.T) {
	l := start(t, "listen", "--fail", "413")
	if status, _, _ := l.send(payload.Test(&webhook.Webhook{ID: listenHook}), nil); status != 413 {
		t.Errorf("status %d", status)
	}
	if status, _, _ := l.send(payload.Verify(listenHook, signing.NewChallenge()), nil); status != 200 {
		t.Errorf("challenge: status %d", status)
	}
	if sum, code := l.end(); code != terminal.ExitOK || sum["refused"] != 1.0 || sum["taken"] != 0.0 {
		t.Errorf("exit %d, %v", code, sum)
	}
}

// TestBridge: what is rightly signed is passed on as it came, and its answer
// given back; what is not stays here.
func TestBridge(t *testing.T) {
	var got []*http.Request
	var bodies [][]byte
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, bodies = append(got, r), append(bodies, b)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "busy")
	}))
	defer behind.Close()
	l := start(t, "bridge", behind.URL+"/hook")
	body := payload.Test(&webhook.Webhook{ID: listenHook})
	if status, answer, _ := l.send(body, nil); status != 503 || answer != "busy" {
		t.Errorf("%d %q", status, answer)
	}
	if status, _, _ := l.send(body, func(h http.Header) { h[signing.HeaderSmartcar] = []string{"no"} }); status != 401 {
		t.Errorf("a wrong signature: %d", status)
	}
	if status, _, _ := l.send(payload.Verify(listenHook, signing.NewChallenge()), nil); status != 200 {
		t.Errorf("challenge: status %d", status)
	}
	if len(got) != 1 || !bytes.Equal(bodies[0], body) || got[0].Header.Get("SC-Signature") != signing.Smartcar([]byte(listenToken), body) || got[0].Header.Get("webhook-id") == "" {
		t.Errorf("%d passed on: %v", len(got), got)
	}
	behind.Close()
	if status, answer, _ := l.send(body, nil); status != 502 || !strings.Contains(answer, "refused") {
		t.Errorf("nobody there: %d %q", status, answer)
	}
	l.end()
}

// TestListenUsage: what cannot be meant is refused before anything listens.
func TestListenUsage(t *testing.T) {
	dir := t.TempDir()
	token, keys, empty := filepath.Join(dir, "token"), filepath.Join(dir, "keys"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(token, []byte(listenToken), 0o600), os.WriteFile(keys, []byte("whsec_MTIz\nnonsense\n"), 0o600), os.WriteFile(empty, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args string
		code int
		says string
	}{
		{"--fail 200 --token-file " + token, terminal.ExitUsage, "want a status from 300 to 599"},
		{"x", terminal.ExitUsage, "takes no argument"},
		{"", terminal.ExitUsage, "listen needs the management token"},
		{"--token-file " + empty, terminal.ExitFailure, "is empty"},
		{"--token-file " + token + " --key-file " + keys, terminal.ExitFailure, "line 2 is no key"},
		{"--listen 256.0.0.1:1 --token-file " + token, terminal.ExitFailure, "listen on 256.0.0.1:1"},
	} {
		r := clitest.Session{App: app, Env: map[string]string{}}.Run(t, append([]string{"listen"}, strings.Fields(tc.args)...)...)
		if r.Code != tc.code || !strings.Contains(r.Err, tc.says) || r.Out != "" {
			t.Errorf("listen %s: exit %d, %s", tc.args, r.Code, r.Err)
		}
	}
}

// TestBridgeUsage: without a place to pass deliveries on to, nothing listens.
func TestBridgeUsage(t *testing.T) {
	for typed, want := range map[string]string{
		"": "plugbeat bridge needs URL", "localhost:3000": "want an absolute http or https URL", "http://127.0.0.1:1": "bridge needs the management token",
	} {
		r := clitest.Session{App: app}.Run(t, append([]string{"bridge"}, strings.Fields(typed)...)...)
		if r.Code != terminal.ExitUsage || !strings.Contains(r.Err, want) || r.Out != "" {
			t.Errorf("bridge %s: exit %d, %s", typed, r.Code, r.Err)
		}
	}
}
