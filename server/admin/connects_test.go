package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
)

// A connect is waited for, cancelled, and unknown.
func TestConnects(t *testing.T) {
	p := servertest.NewPortal(t)
	b := p.Begin("sim")
	ask := func(method, id string) (int, string) {
		r, err := http.NewRequest(method, p.Socket.URL+"/api/v1/connects/"+id, nil)
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
	if v := p.Outcome(b.ID); v.State != adminapi.ConnectWaiting || v.Source != "sim" {
		t.Errorf("%+v", v)
	}
	if status, body := ask("DELETE", b.ID.String()); status != 200 {
		t.Error(status, body)
	}
	if v := p.Outcome(b.ID); v.State != adminapi.ConnectFailed || !strings.Contains(v.Reason, "cancelled") {
		t.Errorf("%+v", v)
	}
	login := p.Get("/oauth/connect", nil).Login(t)
	if got := p.Post("/oauth/code", map[string][]string{"login": {login}, "code": {b.Code}}); got.Status != 403 {
		t.Errorf("the code of a cancelled connect: %d", got.Status)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if status, body := ask(method, servertest.NoID.String()); status != 404 || !strings.Contains(body, "begin another") {
			t.Error(status, body)
		}
		if status, body := ask(method, "x"); status != 400 {
			t.Error(status, body)
		}
	}
}

// Where browsers reach no page nobody can connect in one.
func TestConnectsNeedAPage(t *testing.T) {
	p := servertest.NewPortal(t, func(o *server.Options) { o.PublicURL = nil })
	_, err := servertest.OverSocket(t, p.S).BeginConnect(t.Context(), "sim")
	servertest.Refused(t, err, adminapi.CodeConflict, "http.api.listen")
}
