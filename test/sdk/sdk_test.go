// Package sdk holds the tests from the side of an application and of the owners of vehicles:
// Smartcar's own published SDK, both lines, as a caller and as a receiver, vehicle
// connect in a terminal, and the pages in a real browser, all against the running
// binary.
package sdk

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"plugbeat/test/daemon"
)

// result is what a call through the SDK gave: ok, or the SDK's exception.
type result struct {
	OK    map[string]any `json:"ok"`
	Error *struct {
		Name       string  `json:"name"`
		StatusCode float64 `json:"statusCode"`
		Type       string  `json:"type"`
		Code       *string `json:"code"`
		RequestID  string  `json:"requestId"`
		RetryAfter string  `json:"retryAfter"`
		Message    string  `json:"message"`
	} `json:"error"`
}

type said struct {
	Port  int                        `json:"port"`
	Calls map[string]json.RawMessage `json:"calls"`
	Noted bool                       `json:"noted"`

	AuthURLs []string `json:"authUrls"`

	Received []struct {
		Event         string `json:"event"`
		ID            string `json:"id"`
		Spelling      bool   `json:"spelling"`
		SDK           bool   `json:"sdk"`
		Standard      bool   `json:"standard"`
		StandardError string `json:"standardError"`
		StandardNew   *bool  `json:"standardNew"` // absent before the key was rotated
		Body          struct {
			Payload struct {
				Vehicles []struct {
					Data []struct {
						Path string         `json:"path"`
						Code int            `json:"code"`
						Body map[string]any `json:"body"`
					} `json:"data"`
				} `json:"vehicles"`
			} `json:"payload"`
		} `json:"body"`
	} `json:"received"`
}

// needNode returns Node, with the packages of this folder, or skips the test.
func needNode(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("skipped: node is not installed, so neither Smartcar's SDK nor Standard Webhooks' library can run")
	}
	for _, name := range []string{"smartcar-10", "playwright-core"} {
		if _, err := os.Stat("node_modules/" + name); err != nil {
			t.Skip("skipped: Node's packages are not here; npm ci in test/sdk fetches them")
		}
	}
	return node
}

func TestSmartcarSDK(t *testing.T) {
	node := needNode(t)
	for _, line := range []string{"smartcar-9", "smartcar-10"} {
		t.Run(line, func(t *testing.T) { drive(t, node, line) })
	}
}

// script starts a program of Node that answers lines with lines. It ends with the test.
func script(t *testing.T, node string, args ...string) (in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(node, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return in, bufio.NewReader(lines)
}

func drive(t *testing.T, node, line string) {
	api := daemon.FreeAddress(t)
	d := daemon.New(t, func(config string) string {
		return strings.NewReplacer("127.0.0.1:8765", api, "127.0.0.1:8766", "127.0.0.1:0").Replace(config)
	})
	d.Start()

	in, lines := script(t, node, "drive.js", line)

	port := hear(t, lines).Port
	tell(t, in, map[string]any{"amt": d.ManagementToken()})
	hear(t, lines)
	var added struct {
		Webhook struct {
			ID string `json:"id"`
		} `json:"webhook"`
		SigningKey string `json:"signing_key"`
	}
	d.JSON(&added, "webhook", "add", "--name", "sdk", "--callback", fmt.Sprintf("http://127.0.0.1:%d/hook", port), "--allow-private")
	tell(t, in, map[string]any{"key": added.SigningKey})
	hear(t, lines)
	d.Must("webhook", "verify", "sdk")
	// From here both keys sign: receivers with the old one and with the new one verify.
	var rotated struct {
		SigningKey string `json:"signing_key"`
	}
	d.JSON(&rotated, "webhook", "rotate-key", "sdk")
	tell(t, in, map[string]any{"newKey": rotated.SigningKey})
	hear(t, lines)
	var token struct {
		Token string `json:"token"`
	}
	d.JSON(&token, "token", "add", "caller", "--access")

	tell(t, in, map[string]any{"origin": "http://" + api, "token": token.Token, "webhook": added.Webhook.ID})
	calls := hear(t, lines).Calls
	ok := func(name string, has ...string) {
		t.Helper()
		r := decode(t, calls[name])
		if r.Error != nil {
			t.Errorf("%s: %s %v %s:%v %s", name, r.Error.Name, r.Error.StatusCode, r.Error.Type, r.Error.Code, r.Error.Message)
			return
		}
		for _, key := range has {
			if _, there := r.OK[key]; !there {
				t.Errorf("%s: no %q in %v", name, key, r.OK)
			}
		}
	}
	fails := func(name string, status float64, kind string) {
		t.Helper()
		r := decode(t, calls[name])
		if r.Error == nil {
			t.Errorf("%s: %v; want an error", name, r.OK)
			return
		}
		if r.Error.Name != "SmartcarError" || r.Error.StatusCode != status || r.Error.Type != kind || r.Error.RequestID == "" {
			t.Errorf("%s: %+v; want a SmartcarError %v %s with a request id", name, *r.Error, status, kind)
		}
	}
	ok("getUser", "id", "meta")
	ok("getVehicles", "vehicles", "paging", "meta")
	ok("attributes", "id", "make", "model", "year")
	ok("permissions", "permissions", "paging")
	ok("battery", "percentRemaining", "range", "meta")
	ok("batteryImperial", "percentRemaining", "range", "meta")
	ok("charge", "state", "isPluggedIn", "meta")
	ok("location", "latitude", "longitude", "meta")
	fails("fuel", 501, "COMPATIBILITY")
	ok("subscribe", "vehicleId", "webhookId")
	ok("subscribeAgain", "vehicleId", "webhookId")
	fails("unsubscribeWrong", 401, "AUTHENTICATION")
	ok("unsubscribe", "status")
	fails("unknownWebhook", 404, "RESOURCE_NOT_FOUND")
	fails("badToken", 401, "AUTHENTICATION")
	ok("disconnect", "status")
	metric, imperial := decode(t, calls["battery"]).OK, decode(t, calls["batteryImperial"]).OK
	if m, i := metric["range"].(float64), imperial["range"].(float64); m < i*1.55 || m > i*1.67 {
		t.Errorf("range is %v km and %v miles", m, i)
	}
	if meta := imperial["meta"].(map[string]any); meta["unitSystem"] != "imperial" || meta["fetchedAt"] == nil || meta["requestId"] == "" {
		t.Errorf("meta of a battery read: %v", meta)
	}
	var batch map[string]json.RawMessage
	if err := json.Unmarshal(calls["batch"], &batch); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"battery", "charge", "location"} {
		if r := decode(t, batch[name]); r.Error != nil || r.OK["meta"] == nil {
			t.Errorf("batch %s: %+v", name, r)
		}
	}
	if r := decode(t, batch["fuel"]); r.Error == nil || r.Error.Type != "COMPATIBILITY" {
		t.Errorf("batch fuel: %+v; want the SDK's COMPATIBILITY error", r)
	}

	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	received := hear(t, lines).Received
	challenges, deliveries := 0, 0
	for _, r := range received {
		if r.Event == "verify" {
			challenges++
		} else {
			deliveries++
			if n := len(r.Body.Payload.Vehicles); n != 1 || len(r.Body.Payload.Vehicles[0].Data) != 3 {
				t.Errorf("%s: payload %+v; want one vehicle with three entries", r.ID, r.Body)
			}
		}
		if r.Event != "verify" && (r.StandardNew == nil || !*r.StandardNew) {
			t.Errorf("%s: Standard Webhooks' library did not verify it with the new key", r.ID)
		}
		if !r.Spelling || !r.SDK || !r.Standard || strings.Contains(r.ID, ".") {
			t.Errorf("%s %s: SC-Signature spelt so: %v, verified by the SDK: %v, by Standard Webhooks' library: %v %s", r.Event, r.ID, r.Spelling, r.SDK, r.Standard, r.StandardError)
		}
	}
	if challenges == 0 || deliveries == 0 {
		t.Errorf("the receiver got %d challenges and %d deliveries", challenges, deliveries)
	}
	t.Logf("%s: %d calls, %d challenges and %d deliveries verified", line, len(calls), challenges, deliveries)
}

func decode(t *testing.T, raw json.RawMessage) (r result) {
	t.Helper()
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return r
}

func tell(t *testing.T, in io.Writer, message map[string]any) {
	t.Helper()
	if err := json.NewEncoder(in).Encode(message); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, lines *bufio.Reader) (s said) {
	t.Helper()
	text, err := lines.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the driver ended: %v", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}
