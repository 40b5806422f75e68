package app

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"plugbeat/access"
	"plugbeat/adminapi"
)

// operator speaks to the admin listener with a token.
type operator struct {
	t     *testing.T
	base  string
	token string
}

func (o operator) ask(method, path, body string, header ...string) (status int, etag, text string) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.base+path, strings.NewReader(body))
	must(o.t, err)
	req.Header.Set("Authorization", "Bearer "+o.token)
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	res, err := http.DefaultClient.Do(req)
	must(o.t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(o.t, err)
	return res.StatusCode, res.Header.Get("ETag"), string(b)
}

// Over the admin listener an operator's token does what its scope says, two
// operators do not overwrite each other however close they are, and no token
// widens what plugbeat sends to.
func TestAdminListener(t *testing.T) {
	ctx, d := t.Context(), start(t, configured(t, shortDir(t), simulatorSource))
	token := func(name string, scope access.Scope) operator {
		added, err := d.client.AddToken(ctx, adminapi.NewToken{Name: name, Scope: scope})
		must(t, err)
		return operator{t, "http://" + d.AdminAddr(), added.Token}
	}
	reader, op := token("reader", access.ScopeRead), token("operator", access.ScopeOperate)

	if status, _, text := reader.ask("POST", "/api/v1/webhooks", `{"name":"home","callback_uri":"https://example.com/"}`); status != 403 || !strings.Contains(text, "--scope operate") {
		t.Fatalf("%d %s", status, text)
	}
	status, etag, text := op.ask("POST", "/api/v1/webhooks", `{"name":"home","callback_uri":"https://example.com/"}`, "Content-Type", "application/json")
	if status != 201 || etag == "" {
		t.Fatalf("%d %s", status, text)
	}

	var mu sync.Mutex
	var group sync.WaitGroup
	answers := map[int]int{}
	for i := range 20 {
		group.Go(func() {
			status, _, text := op.ask("PATCH", "/api/v1/webhooks/home", fmt.Sprintf(`{"cadence":{"unplugged":"%dm"}}`, 60+i), "If-Match", etag)
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
			if status == 412 && !strings.Contains(text, "was changed since you looked") {
				t.Errorf("%s", text)
			}
		})
	}
	group.Wait()
	if answers[200] != 1 || answers[412] != 19 {
		t.Errorf("of 20 changes of the same webhook: %v", answers)
	}
	if status, _, text := op.ask("DELETE", "/api/v1/webhooks/home", "", "If-Match", etag); status != 412 {
		t.Errorf("%d %s", status, text)
	}

	for _, body := range []string{`{"allow_private":true}`, `{"allow_private":true,"callback_uri":"http://127.0.0.1:1/"}`} {
		if status, _, text := op.ask("PATCH", "/api/v1/webhooks/home", body); status != 403 {
			t.Errorf("%d %s", status, text)
		}
	}
	yes := true
	_, err := d.client.ChangeWebhook(ctx, "home", adminapi.WebhookChange{AllowPrivate: &yes})
	must(t, err)
	if status, _, text := op.ask("PATCH", "/api/v1/webhooks/home", `{"callback_uri":"http://127.0.0.1:1/"}`); status != 403 || !strings.Contains(text, "socket") {
		t.Errorf("%d %s", status, text)
	}
	if w, err := d.client.Webhook(ctx, "home"); err != nil || w.CallbackURI != "https://example.com/" {
		t.Errorf("%+v %v", w, err)
	}

	// The document is open.
	if status, _, text := (operator{t, op.base, ""}).ask("GET", "/api/v1/openapi.yaml", ""); status != 200 || !strings.Contains(text, "openapi: 3.1.0") {
		t.Errorf("openapi.yaml: %d, %.100s", status, text)
	}

	// /v2.0 does not take it, and the use of both is known.
	if status, _, _ := (operator{t, "http://" + d.APIAddr(), op.token}).ask("GET", "/v2.0/vehicles", ""); status != 401 {
		t.Errorf("/v2.0 with an operator's token: %d", status)
	}
	if status, _, _ := reader.ask("GET", "/metrics", ""); status != 200 {
		t.Errorf("/metrics: %d", status)
	}
	if status, _, _ := (operator{t, op.base, "none"}).ask("GET", "/metrics", ""); status != 401 {
		t.Errorf("/metrics without a token: %d", status)
	}
	list, err := d.client.Tokens(ctx, "", 0)
	must(t, err)
	for _, v := range list.Items {
		if v.LastUsedAt.IsZero() {
			t.Errorf("the use of %s is not known", v.Name)
		}
	}
	must(t, d.client.RemoveToken(ctx, "operator"))
	if status, _, _ := op.ask("GET", "/api/v1/status", ""); status != 401 {
		t.Errorf("a revoked token: %d", status)
	}
	for _, secret := range []string{op.token, reader.token} {
		if strings.Contains(d.log.String(), secret) {
			t.Error("a token is in the log")
		}
	}
}
