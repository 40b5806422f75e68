package intake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
)

// pushed is a source that is sent documents.
type pushed struct {
	vehicle.Pusher
	got [][]byte
}

func (p *pushed) Push(ctx context.Context, _ func(uuid.UUID)) error { <-ctx.Done(); return ctx.Err() }

func (p *pushed) Take(document []byte) []vehicle.Verdict {
	p.got = append(p.got, document)
	switch string(document) {
	case `{}`:
		return []vehicle.Verdict{{Vehicle: "leaf", Input: "plug", Nothing: "nothing is at /plug"}}
	case `[]`:
		return []vehicle.Verdict{}
	}
	return []vehicle.Verdict{{Vehicle: "leaf", Input: "plug", Became: "plugged_in"}, {Vehicle: "leaf", Input: "battery", Refused: "out of range"}}
}

// place is a server with the sources wican and scripts, and a token for the latter.
type place struct {
	t       *testing.T
	source  *pushed
	addr    string
	token   string
	clients *adminapi.Client
	log     servertest.LogBuffer
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, source: &pushed{}}
	s := servertest.NewServer(t, servertest.Operators(servertest.NewWorld(t)), func(o *server.Options) {
		o.Intakes = map[string]vehicle.Intake{"scripts": p.source, "wican": &pushed{}}
		o.Log = zerolog.New(&p.log)
	})
	p.addr, p.clients = servertest.Serve(t, s.Public()), servertest.OverSocket(t, s)
	p.token = servertest.Must[adminapi.TokenAdded](t)(p.clients.AddToken(t.Context(), adminapi.NewToken{Name: "shed", Intake: "scripts"})).Token
	return p
}

func (p *place) send(token, source, document string, header ...[2]string) servertest.Answer {
	return servertest.Exchange(p.t, p.addr, "POST", "/intake/"+source, append(servertest.BearerOf(token), header...), document)
}

// answered is the body of an answer of any kind.
type answered struct {
	Error  *adminapi.Error
	Taken  int
	Inputs []vehicle.Verdict
}

func read(t *testing.T, a servertest.Answer) (got answered) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Header["content-type"][0] != "application/json" {
		t.Fatalf("%+v: %v", a, err)
	}
	return got
}

// TestTaken: the answer says what a document became, and 422 that nothing of it was taken.
func TestTaken(t *testing.T) {
	p := newPlace(t)
	a := p.send(p.token, "scripts", `{"plug":true}`, [2]string{"Content-Type", "application/json; charset=utf-8"})
	if got := read(t, a); a.Status != 200 || got.Taken != 1 || len(got.Inputs) != 2 || got.Inputs[0].Became != "plugged_in" || got.Inputs[1].Refused != "out of range" || got.Error != nil {
		t.Errorf("%+v", a)
	}
	for _, document := range []string{`{}`, `[]`} {
		a := p.send(p.token, "scripts/", document)
		if got := read(t, a); a.Status != 422 || got.Taken != 0 || got.Inputs == nil || got.Error == nil || got.Error.Message == "" {
			t.Errorf("%s: %+v", document, a)
		}
	}
	if len(p.source.got) != 3 || string(p.source.got[0]) != `{"plug":true}` {
		t.Errorf("the source was sent %q", p.source.got)
	}
	if strings.Contains(p.log.String(), p.token) || strings.Contains(p.log.String(), "http.") {
		t.Errorf("logged: %s", p.log.String())
	}
}

// TestRefused: what is no document for this source is refused before the source sees it, and the
// answer says why.
func TestRefused(t *testing.T) {
	p := newPlace(t)
	for name, c := range map[string]struct {
		token, source, document string
		header                  [2]string
		status                  int
		says                    string
	}{
		"another source":       {p.token, "wican", `{}`, [2]string{}, 403, "the source scripts alone"},
		"another, of no place": {p.token, "nobody", `{}`, [2]string{}, 403, "the source scripts alone"},
		"no token":             {"", "scripts", `{}`, [2]string{}, 401, "Authorization: Bearer TOKEN"},
		"a wrong token":        {"plugbeat_intake_x", "scripts", `{}`, [2]string{}, 401, "no such token"},
		"an application's":     {servertest.AllToken, "scripts", `{}`, [2]string{}, 401, "no such token"},
		"an operator's":        {servertest.OperateToken, "scripts", `{}`, [2]string{}, 401, "no such token"},
		"the management token": {servertest.Management, "scripts", `{}`, [2]string{}, 401, "no such token"},
		"a form":               {p.token, "scripts", `{}`, [2]string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		"compressed":           {p.token, "scripts", `{}`, [2]string{"Content-Encoding", "gzip"}, 415, `"gzip"`},
		"too long":             {p.token, "scripts", `"` + strings.Repeat("x", 64<<10-1) + `"`, [2]string{}, 413, "65536 bytes"},
		"empty":                {p.token, "scripts", ``, [2]string{}, 400, "unexpected end"},
		"no JSON":              {p.token, "scripts", `plug=1`, [2]string{}, 400, "invalid character 'p'"},
		"two documents":        {p.token, "scripts", `{} {}`, [2]string{}, 400, "after top-level value"},
		"deep":                 {p.token, "scripts", strings.Repeat("[", 30000), [2]string{}, 400, "exceeded max depth"},
	} {
		t.Run(name, func(t *testing.T) {
			var header [][2]string
			if c.header[0] != "" {
				header = append(header, c.header)
			}
			a := p.send(c.token, c.source, c.document, header...)
			if got := read(t, a); a.Status != c.status || got.Error == nil || !strings.Contains(got.Error.Message+" "+got.Error.Hint, c.says) {
				t.Errorf("%d %s; want %d and %q", a.Status, a.Body, c.status, c.says)
			}
		})
	}
	if a := servertest.Exchange(t, p.addr, "GET", "/intake/scripts", servertest.BearerOf(p.token), ""); a.Status != 405 || a.Header["allow"][0] != "POST" {
		t.Errorf("%+v", a)
	}
	if len(p.source.got) != 0 {
		t.Errorf("the source was sent %q", p.source.got)
	}
}

// TestStrangers: who has no token learns nothing of which sources there are, and is listened to
// only so often; a right token of the same address still works where callers look alike.
func TestStrangers(t *testing.T) {
	p := newPlace(t)
	of := func(source string) string {
		a := p.send("plugbeat_intake_guess", source, `{}`)
		delete(a.Header, "sc-request-id")
		delete(a.Header, "Date")
		got := read(t, a)
		got.Error.RequestID = ""
		return fmt.Sprint(a.Status, a.Header, got.Error)
	}
	if known, unknown := of("scripts"), of("nobody%1b"); known != unknown {
		t.Errorf("%s\n%s", known, unknown)
	}
	proxied := [2]string{"X-Forwarded-For", "203.0.113.9"}
	statuses := map[int]int{}
	var last servertest.Answer
	for range guessBurst + 10 {
		p.send("plugbeat_intake_guess", "scripts", `{}`)
		last = p.send("plugbeat_intake_guess", "scripts", `{}`, proxied)
		statuses[last.Status]++
	}
	if statuses[401] != guessBurst || statuses[429] != 10 || last.Header["retry-after"] == nil {
		t.Errorf("%v, %+v", statuses, last)
	}
	if a := p.send(p.token, "scripts", `{"plug":true}`, proxied); a.Status != 429 {
		t.Errorf("who guessed is listened to: %d", a.Status)
	}
	if a := p.send(p.token, "scripts", `{"plug":true}`); a.Status != 200 {
		t.Errorf("the right token: %d %s", a.Status, a.Body)
	}
	if lines := strings.Count(p.log.String(), "http.refused"); lines == 0 || lines > 10 || strings.Contains(p.log.String(), "guess\"") || strings.Contains(p.log.String(), "\x1b") {
		t.Errorf("%d lines: %s", lines, p.log.String())
	}
}

const guessBurst = 30

// TestTokenOpensNothingElse: an intake's token is good for one source's intake, until it is revoked.
func TestTokenOpensNothingElse(t *testing.T) {
	w := servertest.Operators(servertest.NewWorld(t))
	source := &pushed{}
	s := servertest.NewServer(t, w, func(o *server.Options) { o.Intakes = map[string]vehicle.Intake{"scripts": source} })
	c := servertest.OverSocket(t, s)
	public, operators := servertest.Serve(t, s.Public()), servertest.Serve(t, s.AdminHTTP())
	added := servertest.Must[adminapi.TokenAdded](t)(c.AddToken(t.Context(), adminapi.NewToken{Name: "shed", Intake: "scripts"}))
	if added.Kind != adminapi.IntakeToken || added.Intake != "scripts" || !strings.HasPrefix(added.Token, "plugbeat_intake_") {
		t.Errorf("%+v", added)
	}
	for target, addr := range map[string]string{"/v2.0/vehicles": public, "/v2.0/vehicles/" + servertest.VehicleA.String(): public, "/api/v1/status": operators, "/metrics": operators} {
		if a := servertest.Exchange(t, addr, "GET", target, servertest.BearerOf(added.Token), ""); a.Status != 401 {
			t.Errorf("%s: %d", target, a.Status)
		}
	}
	send := func() int {
		return servertest.Exchange(t, public, "POST", "/intake/scripts", servertest.BearerOf(added.Token), `{"plug":true}`).Status
	}
	if status := send(); status != 200 {
		t.Error(status)
	}
	list := servertest.Must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(t.Context(), "", 0))
	for _, v := range list.Items {
		if v.Name == "shed" && (v.Kind != adminapi.IntakeToken || v.Intake != "scripts" || !v.LastUsedAt.Equal(servertest.Noon)) {
			t.Errorf("listed as %+v", v)
		}
	}
	if err := c.RemoveToken(t.Context(), "shed"); err != nil {
		t.Fatal(err)
	}
	if status := send(); status != 401 {
		t.Errorf("a revoked token: %d", status)
	}
	for _, bad := range []adminapi.NewToken{{Name: "x", Intake: "nobody"}, {Name: "x", Intake: "scripts", Scope: access.ScopeRead},
		{Name: "x", Intake: "scripts", Vehicles: []string{servertest.VehicleA.String()}}} {
		_, err := c.AddToken(t.Context(), bad)
		if e := servertest.Refusal(t, err, adminapi.CodeInvalid); e.Allowed == "" {
			t.Errorf("%+v: %v", bad, e)
		}
	}
}

// TestGone: a token outlives its source in the config, and says so.
func TestGone(t *testing.T) {
	w := servertest.NewWorld(t)
	with := servertest.NewServer(t, w, func(o *server.Options) { o.Intakes = map[string]vehicle.Intake{"scripts": &pushed{}} })
	added := servertest.Must[adminapi.TokenAdded](t)(servertest.OverSocket(t, with).AddToken(t.Context(), adminapi.NewToken{Name: "shed", Intake: "scripts"}))
	without := servertest.Serve(t, servertest.NewServer(t, w).Public())
	a := servertest.Exchange(t, without, "POST", "/intake/scripts", servertest.BearerOf(added.Token), `{"plug":true}`)
	if got := read(t, a); a.Status != 404 || got.Error == nil || !strings.Contains(got.Error.Message, "scripts is not sent documents any more") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
