package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
)

// An owner goes through the pages in a real browser, with wrong and right codes, and
// allows or denies; the browser finds no fault with the pages' policy, asks for
// nothing outside them, and shows them in no frame.
func TestConsentInABrowser(t *testing.T) {
	long.Test(t)
	node := needNode(t)
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("skipped: chromium is not installed, so the pages cannot be seen in a real browser")
	}
	mux := http.NewServeMux()
	app := httptest.NewServer(mux)
	defer app.Close()
	api8765 := daemon.FreeAddress(t)
	authorize := "http://" + api8765 + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {appID}, "redirect_uri": {app.URL + "/exchange"}, "state": {"s"}, "scope": {"read_charge read_location"},
	}.Encode()
	// The application sends the browser on to another place of its own.
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "the application") }))
	defer home.Close()
	mux.HandleFunc("/exchange", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, home.URL+"/exchanged?"+r.URL.RawQuery, http.StatusFound)
	})
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/attacker", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<iframe src="%s"></iframe>`, strings.ReplaceAll(authorize, "&", "&amp;"))
	})
	d := served(t, func(config string) string {
		return strings.NewReplacer("127.0.0.1:8765", api8765, "127.0.0.1:8766", "127.0.0.1:0",
			"application:\n", "application:\n  client_id: "+appID+"\n  client_secret_file: app_secret\n  redirect_uris: ["+app.URL+"/exchange]\n").Replace(config)
	})
	shots := os.Getenv("PLUGBEAT_SHOTS") // to look at them
	if shots == "" {
		shots = t.TempDir()
	}
	for _, deny := range []bool{true, false} {
		begun, err := d.Client().BeginConnect(t.Context(), "fleet")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, node, "browse.js", chromium, shots)
		settings, _ := json.Marshal(map[string]any{"authorize": authorize, "code": begun.Code, "deny": deny, "attacker": app.URL + "/attacker", "dark": deny})
		cmd.Stdin = bytes.NewReader(settings)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var saw struct {
			First, Wrong, Second, Back string
			Violations, Requests       []string
			Framed                     bool
		}
		if err := json.Unmarshal(out, &saw); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if strings.Contains(saw.First, "RENAULT") || !strings.Contains(saw.First, "one-time code") || !strings.Contains(saw.Wrong, "wrong") {
			t.Errorf("first page %q, then %q", saw.First, saw.Wrong)
		}
		for _, want := range []string{"read where the vehicle is", appID, app.URL} {
			if !strings.Contains(saw.Second, want) {
				t.Errorf("the consent page does not say %q:\n%s", want, saw.Second)
			}
		}
		back, err := url.Parse(saw.Back)
		if err != nil || back.Query().Get("state") != "s" || deny != (back.Query().Get("error") == "access_denied") || deny == back.Query().Has("code") {
			t.Errorf("deny %t led to %s", deny, saw.Back)
		}
		// A wrong code is answered 403, which Chromium notes.
		for _, v := range saw.Violations {
			if !strings.Contains(v, "403") {
				t.Errorf("the browser says: %s", v)
			}
		}
		for _, r := range saw.Requests {
			if !strings.HasSuffix(r, " http://"+api8765) && !strings.HasSuffix(r, " "+app.URL) && !strings.HasSuffix(r, " "+home.URL) {
				t.Errorf("a page asks for something at %s", r)
			}
		}
		if saw.Framed {
			t.Error("the page can be framed")
		}
		v, err := d.Client().Connect(t.Context(), begun.ID, 0)
		want := map[bool]adminapi.ConnectState{true: adminapi.ConnectFailed, false: adminapi.ConnectDone}[deny]
		if err != nil || v.State != want || !deny && len(v.Vehicles) != 2 {
			t.Errorf("%+v %v", v, err)
		}
	}
}
