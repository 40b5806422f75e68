package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"plugbeat/adminapi"
)

// A connect is waited for, cancelled, and unknown.
func TestConnects(t *testing.T) {
	p := newPortal(t)
	b := p.begin("sim")
	ask := func(method, id string) (int, string) {
		r, err := http.NewRequest(method, p.socket.URL+"/api/v1/connects/"+id, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	if v := p.outcome(b.ID); v.State != adminapi.ConnectWaiting || v.Source != "sim" {
		t.Errorf("%+v", v)
	}
	if status, body := ask("DELETE", b.ID.String()); status != 200 {
		t.Error(status, body)
	}
	if v := p.outcome(b.ID); v.State != adminapi.ConnectFailed || !strings.Contains(v.Reason, "cancelled") {
		t.Errorf("%+v", v)
	}
	login := p.get("/oauth/connect", nil).login(t)
	if got := p.post("/oauth/code", map[string][]string{"login": {login}, "code": {b.Code}}); got.status != 403 {
		t.Errorf("the code of a cancelled connect: %d", got.status)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if status, body := ask(method, noID.String()); status != 404 || !strings.Contains(body, "begin another") {
			t.Error(status, body)
		}
		if status, body := ask(method, "x"); status != 400 {
			t.Error(status, body)
		}
	}
}

// The number of open connects is bounded, and those that are long over make room.
func TestConnectsAreBounded(t *testing.T) {
	var cs connects
	for range maxConnects {
		if _, _, err := cs.begin("sim", false, noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := cs.begin("sim", false, noon); err == nil {
		t.Error("there is no bound")
	}
	if _, _, err := cs.begin("sim", false, noon.Add(connectLife+connectKept+1)); err != nil || len(cs.all) != 1 {
		t.Error(err, len(cs.all))
	}
}
