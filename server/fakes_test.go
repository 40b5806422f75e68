package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	management = "amt-for-tests-0001"
	allToken   = "token-for-all"
	oneToken   = "token-for-one"
)

var (
	carA   = uuid.MustParse("00000000-0000-4000-8000-00000000000a")
	carB   = uuid.MustParse("00000000-0000-4000-8000-00000000000b")
	hookID = uuid.MustParse("10000000-0000-4000-8000-000000000001")
	noID   = uuid.MustParse("ffffffff-0000-4000-8000-000000000000")
	noon   = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

// world is every dependency of a server, in memory.
type world struct {
	tokenUses map[string]time.Time // of management tokens, by fingerprint
	mu        sync.Mutex
	grants    []access.Grant
	used      int // calls of UseGrant
	cars      []vehicle.Vehicle
	states    map[uuid.UUID]vehicle.Status
	hooks     []webhook.Webhook
	subs      []webhook.ScheduleView
	past      []webhook.Delivery // oldest first
	resent    webhook.DeliveryFilter
	payloads  map[uuid.UUID][]byte

	// read answers ReadNow; reads are the calls of it.
	read  func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error)
	reads []vehicle.Paths
	// extras are those read; extra answers them, and a source that has none is nil.
	extras []vehicle.Detail
	extra  func(vehicle.Detail) (vehicle.DetailReading, error)
	// failRead, when set, is what reading answers.
	failRead error
	// fail, when set, is what every write answers.
	fail error
	// failCarWith is what subscribing failCar answers.
	failCar     uuid.UUID
	failCarWith error
	// answer is what a challenge finds.
	answer adminapi.Challenge
	wrong  bool

	consents []access.Consent
	// vendor answers for codes and refresh tokens at the source vendor, nil where there
	// is none; onlyVendor is 1 where it is the only source.
	vendor     func(codeOrToken string) ([]vehicle.Vehicle, error)
	onlyVendor int

	disconnected []uuid.UUID
	info         adminapi.StoreInfo
	problems     []adminapi.Problem
	sources      []adminapi.Source
	backup       *adminapi.Backups
	alerts       []adminapi.AlertTarget
	copied       []byte // what Copy writes
	queues       map[uuid.UUID]adminapi.Queue
	conditions   []health.Condition
}

func newWorld() *world {
	w := &world{
		cars: []vehicle.Vehicle{
			{ID: carA, Source: "sim", Make: "tesla", Model: "Model 3", Year: 2021, Mode: vehicle.ModeSimulated, Permissions: []string{"read_charge", "read_battery"}},
			{ID: carB, Source: "sim", Make: "KIA", Model: "EV6", Mode: vehicle.ModeSimulated},
		},
		grants: []access.Grant{
			{Name: "all", Hash: sha256.Sum256([]byte(allToken))},
			{Name: "one", Hash: sha256.Sum256([]byte(oneToken)), Vehicles: []uuid.UUID{carA}},
		},
		hooks:    []webhook.Webhook{{ID: hookID, Name: "home", Type: webhook.TypeDynamic, CallbackURI: "https://example.com/hook", Signing: webhook.SignBoth, Status: webhook.Active, Key: bytes.Repeat([]byte{7}, 32)}},
		info:     adminapi.StoreInfo{State: webhook.DiskOK},
		states:   map[uuid.UUID]vehicle.Status{},
		payloads: map[uuid.UUID][]byte{},
		copied:   []byte("a copy"),
		answer:   adminapi.Challenge{Status: 200, Duration: time.Millisecond, Text: "right"},
	}
	w.read = func(_ context.Context, _ uuid.UUID, p vehicle.Paths) (vehicle.Snapshot, error) {
		return reading(p), nil
	}
	return w
}

// reading is a snapshot with values for the paths.
func reading(p vehicle.Paths) vehicle.Snapshot {
	reach := 287.5
	var s vehicle.Snapshot
	if p.Has(vehicle.PathCharge) {
		s.Charge = vehicle.Reading[vehicle.Charge]{OK: true, FetchedAt: noon, Value: vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn}}
	}
	if p.Has(vehicle.PathBattery) {
		s.Battery = vehicle.Reading[vehicle.Battery]{OK: true, FetchedAt: noon, DataAge: noon.Add(-time.Minute), Value: vehicle.Battery{PercentRemaining: 0.64, RangeKm: &reach}}
	}
	if p.Has(vehicle.PathLocation) {
		s.Location = vehicle.Reading[vehicle.Location]{OK: true, FetchedAt: noon, Value: vehicle.Location{Latitude: 52.3676, Longitude: 4.9041}}
	}
	return s
}

func newServer(tb testing.TB, w *world) *Server {
	tb.Helper()
	s, err := New(Options{Retries: 6, Store: w, Scheduler: w, Deliveries: hooks{w}, Fleet: w, Upkeep: w, Health: w,
		Policy: cadence.Policy{}, ManagementToken: webhook.Secret(management), ApplicationID: noID,
		JSON: toJSON, CheckDir: tb.TempDir(), Version: adminapi.Version{Version: "test", Go: "go"}, StartedAt: noon.Add(-time.Hour),
		Log: zerolog.Nop(), Now: func() time.Time { return noon }})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// toJSON stands for the config's, which alone reads YAML.
func toJSON(document []byte) ([]byte, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, err
	}
	return doc.MarshalJSON()
}

func missing(kind string, id any) error {
	return fmt.Errorf("%s %v: %w", kind, id, webhook.ErrNotFound)
}

func (w *world) GrantByHash(_ context.Context, h [32]byte) (access.Grant, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.grants {
		if g.Hash == h {
			return g, nil
		}
	}
	return access.Grant{}, missing("grant", "?")
}

func (w *world) Grants(context.Context) ([]access.Grant, error) { return slices.Clone(w.grants), nil }

func (w *world) PutGrant(_ context.Context, g access.Grant) error {
	if slices.ContainsFunc(w.grants, func(o access.Grant) bool { return o.Name == g.Name }) {
		return fmt.Errorf("token %s: %w", g.Name, webhook.ErrExists)
	}
	w.grants = append(w.grants, g)
	return w.fail
}

func (w *world) UseGrant(_ context.Context, hash [32]byte, at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.grants {
		if w.grants[i].Hash == hash {
			w.grants[i].LastUsedAt = at
			w.used++
		}
	}
	return w.fail
}

func (w *world) DeleteGrant(_ context.Context, name string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.grants)
	w.grants = slices.DeleteFunc(w.grants, func(g access.Grant) bool { return g.Name == name })
	if len(w.grants) == n {
		return missing("grant", name)
	}
	return nil
}

func (w *world) Vehicle(_ context.Context, id uuid.UUID) (vehicle.Vehicle, error) {
	for _, v := range w.cars {
		if v.ID == id {
			return v, nil
		}
	}
	return vehicle.Vehicle{}, missing("vehicle", id)
}

func (w *world) Vehicles(_ context.Context, after uuid.UUID, limit int) (out []vehicle.Vehicle, _ error) {
	for _, v := range w.cars {
		if bytes.Compare(v.ID[:], after[:]) > 0 && len(out) < limit {
			out = append(out, v)
		}
	}
	return out, nil
}

func (w *world) VehicleStatus(_ context.Context, id uuid.UUID) (vehicle.Status, error) {
	return w.states[id], nil
}

func (w *world) Census(limit int) (c vehicle.Census, troubled []uuid.UUID) {
	for _, v := range w.cars {
		st := w.states[v.ID]
		if c.Count(st, 1); st.Trouble() != vehicle.NoTrouble && len(troubled) < limit {
			troubled = append(troubled, v.ID)
		}
	}
	return c, troubled
}

func (w *world) Due(_ context.Context, source string, at time.Time, limit int, _ func(webhook.SubscriptionKey) bool) (p webhook.DuePage, _ error) {
	for _, s := range w.subs {
		if s.Source == source && !s.Due.IsZero() && !s.Due.After(at) {
			p.Schedules = append(p.Schedules, s)
		}
	}
	slices.SortFunc(p.Schedules, func(a, b webhook.ScheduleView) int { return a.Due.Compare(b.Due) })
	p.Schedules = p.Schedules[:min(limit, len(p.Schedules))]
	return p, nil
}

func (w *world) Webhook(_ context.Context, id uuid.UUID) (webhook.Webhook, error) {
	for _, h := range w.hooks {
		if h.ID == id {
			return h, nil
		}
	}
	return webhook.Webhook{}, missing("webhook", id)
}

func (w *world) Webhooks(context.Context) ([]webhook.Webhook, error) {
	return slices.Clone(w.hooks), nil
}

func (w *world) Subscriptions(_ context.Context, hook, car uuid.UUID, after webhook.SubscriptionKey, limit int) (out []webhook.ScheduleView, _ error) {
	for _, s := range w.subs {
		later := after == webhook.SubscriptionKey{} || slotCursor(s.SubscriptionKey) > slotCursor(after)
		if (hook == uuid.Nil || hook == s.SubscriptionKey.Webhook) && (car == uuid.Nil || car == s.Vehicle) && later && len(out) < limit {
			out = append(out, s)
		}
	}
	return out, nil
}

func (w *world) Delivery(_ context.Context, id uuid.UUID) (webhook.Delivery, error) {
	for _, d := range w.past {
		if d.ID == id {
			return d, nil
		}
	}
	return webhook.Delivery{}, missing("delivery", id)
}

func (w *world) Payload(_ context.Context, id uuid.UUID) ([]byte, error) {
	if b, ok := w.payloads[id]; ok {
		return b, nil
	}
	return nil, missing("payload", id)
}

func (w *world) Attempts(context.Context, uuid.UUID) ([]webhook.Attempt, error) { return nil, nil }

func (w *world) Deliveries(_ context.Context, f webhook.DeliveryFilter, before uuid.UUID, limit int) (out []webhook.Delivery, _ error) {
	for _, d := range slices.Backward(w.past) {
		fits := (f.State == "" || f.State == d.State) && (f.Vehicle == uuid.Nil || f.Vehicle == d.Vehicle) && (f.Webhook == uuid.Nil || f.Webhook == d.Webhook)
		if fits && (before == uuid.Nil || bytes.Compare(d.ID[:], before[:]) < 0) && len(out) < limit {
			out = append(out, d)
		}
	}
	return out, nil
}

func (w *world) Copy(_ context.Context, path string) error {
	return errors.Join(w.fail, os.WriteFile(path, w.copied, 0o600))
}

func (w *world) Subscribe(_ context.Context, hook, car uuid.UUID, anchor time.Time) (webhook.Subscription, bool, error) {
	if w.fail != nil {
		return webhook.Subscription{}, false, w.fail
	}
	key := webhook.SubscriptionKey{Webhook: hook, Vehicle: car}
	if w.failCar == car {
		return webhook.Subscription{}, false, w.failCarWith
	}
	sub := webhook.Subscription{SubscriptionKey: key, CreatedAt: noon}
	if slices.ContainsFunc(w.subs, func(s webhook.ScheduleView) bool { return s.SubscriptionKey == key }) {
		return sub, false, nil
	}
	w.subs = append(w.subs, webhook.ScheduleView{Schedule: webhook.Schedule{SubscriptionKey: key, Anchor: anchor, Due: anchor}, Webhook: &w.hooks[0]})
	slices.SortFunc(w.subs, func(a, b webhook.ScheduleView) int {
		return bytes.Compare([]byte(slotCursor(a.SubscriptionKey)), []byte(slotCursor(b.SubscriptionKey)))
	})
	return sub, true, nil
}

func (w *world) Unsubscribe(_ context.Context, hook, car uuid.UUID) (bool, error) {
	n := len(w.subs)
	w.subs = slices.DeleteFunc(w.subs, func(s webhook.ScheduleView) bool {
		return s.SubscriptionKey == webhook.SubscriptionKey{Webhook: hook, Vehicle: car}
	})
	return len(w.subs) < n, w.fail
}

func (w *world) ReadNow(ctx context.Context, id uuid.UUID, p vehicle.Paths) (vehicle.Snapshot, error) {
	w.mu.Lock()
	w.reads = append(w.reads, p)
	w.mu.Unlock()
	if err := cmp.Or(w.failRead, w.fail); err != nil {
		return vehicle.Snapshot{}, err
	}
	return w.read(ctx, id, p)
}

func (w *world) ReadAnew(ctx context.Context, id uuid.UUID, p vehicle.Paths, _ bool) (vehicle.Snapshot, error) {
	return w.ReadNow(ctx, id, p)
}

func (w *world) ReadDetail(_ context.Context, _ uuid.UUID, e vehicle.Detail) (vehicle.DetailReading, error) {
	w.mu.Lock()
	w.extras = append(w.extras, e)
	w.mu.Unlock()
	if err := cmp.Or(w.failRead, w.fail); err != nil {
		return vehicle.DetailReading{}, err
	}
	if w.extra == nil {
		return vehicle.DetailReading{}, vehicle.NotCapable("The vehicle is incapable of performing your request.")
	}
	return w.extra(e)
}

func (w *world) Connect(_ context.Context, source, token string) ([]vehicle.Vehicle, error) {
	if source == "vendor" && w.vendor != nil {
		return w.vendor(token)
	}
	if source != "sim" {
		return nil, &webhook.Invalid{Field: "source", Value: source, Allowed: "sim"}
	}
	return w.cars, w.fail
}

// Doors has sim, whose owners have no account, and vendor where one is set.
func (w *world) Doors() []Door {
	if w.vendor != nil {
		return []Door{{Source: "sim"}, {Source: "vendor", SignIn: true}}[w.onlyVendor:]
	}
	return []Door{{Source: "sim"}}
}

func (w *world) SignInURL(source, callback, state string, q url.Values) (string, error) {
	q = maps.Clone(q)
	q.Set("state", state)
	q.Set("redirect_uri", callback)
	return "https://connect.example.com/oauth/authorize?" + q.Encode(), w.fail
}

func (w *world) SignedIn(ctx context.Context, source, code, _ string) ([]vehicle.Vehicle, error) {
	return w.vendor(code)
}

func (w *world) Offered(context.Context, string) ([]vehicle.Vehicle, error) { return w.cars, w.fail }

func (w *world) ConnectOffered(_ context.Context, _ string, ids []uuid.UUID) (vs []vehicle.Vehicle, _ error) {
	for _, v := range w.cars {
		if slices.Contains(ids, v.ID) {
			vs = append(vs, v)
		}
	}
	return vs, w.fail
}

func (w *world) PutConsent(_ context.Context, c access.Consent) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.consents = append(w.consents, c)
	return w.fail
}

func (w *world) ConsentByHash(_ context.Context, h access.TokenHash) (access.Consent, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.consents {
		if slices.Contains(c.Hashes(), h) {
			return c, nil
		}
	}
	return access.Consent{}, missing("consent", "?")
}

func (w *world) Consents(_ context.Context, after uuid.UUID, limit int) (cs []access.Consent, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.consents {
		if bytes.Compare(c.ID[:], after[:]) > 0 {
			cs = append(cs, c)
		}
	}
	slices.SortFunc(cs, func(a, b access.Consent) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return cs[:min(limit, len(cs))], nil
}

func (w *world) DeleteConsent(_ context.Context, id uuid.UUID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.consents)
	w.consents = slices.DeleteFunc(w.consents, func(c access.Consent) bool { return c.ID == id })
	if len(w.consents) == n {
		return missing("consent", id)
	}
	return nil
}

func (w *world) ChangeConsent(ctx context.Context, h access.TokenHash, change func(*access.Consent) error) error {
	c, err := w.ConsentByHash(ctx, h)
	if err != nil {
		return err
	}
	if err := cmp.Or(change(&c), w.fail); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.consents = slices.DeleteFunc(w.consents, func(o access.Consent) bool { return o.ID == c.ID })
	if c.Code != nil || len(c.Tokens) > 0 {
		w.consents = append(w.consents, c)
	}
	return nil
}

func (w *world) Disconnect(_ context.Context, id uuid.UUID) (int, error) {
	w.disconnected = append(w.disconnected, id)
	return 3, w.fail
}

func (w *world) Info(context.Context) (adminapi.StoreInfo, error) { return w.info, nil }

func (w *world) CheckFile(path string) ([]adminapi.Problem, error) {
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, w.copied) {
		return nil, errors.New("it is not the copy")
	}
	return w.problems, nil
}

func (w *world) Backups() *adminapi.Backups { return w.backup }
func (w *world) Sources() []adminapi.Source { return w.sources }

func (w *world) Alerts() []adminapi.AlertTarget { return w.alerts }

func (w *world) TestAlerts(_ context.Context, target string) (out []adminapi.AlertTested, err error) {
	for _, t := range w.alerts {
		if target == "" || target == t.Name {
			out = append(out, adminapi.AlertTested{Target: t.Name, Host: t.Host, Arrived: t.LastError == "", Status: 200, Error: t.LastError})
		}
	}
	if target != "" && len(out) == 0 {
		err = &webhook.Invalid{Field: "target", Value: target, Allowed: "phone"}
	}
	return out, err
}

// hooks is the world as Deliveries, some of whose names are the store's as well.
type hooks struct{ w *world }

func (h hooks) Add(_ context.Context, n webhook.Webhook) (webhook.Webhook, error) {
	if h.w.fail != nil {
		return webhook.Webhook{}, h.w.fail
	}
	if slices.ContainsFunc(h.w.hooks, func(o webhook.Webhook) bool { return o.Name == n.Name }) {
		return webhook.Webhook{}, fmt.Errorf("webhook %q: %w", n.Name, webhook.ErrExists)
	}
	if n.ID == uuid.Nil {
		n.ID = uuid.New()
	}
	if n.Key == nil {
		n.Key = bytes.Repeat([]byte{1}, 32)
	}
	n.Status = webhook.Unverified
	h.w.hooks = append(h.w.hooks, n)
	return n, nil
}

func (h hooks) edit(id uuid.UUID, do func(*webhook.Webhook)) (webhook.Webhook, error) {
	for i := range h.w.hooks {
		if h.w.hooks[i].ID == id {
			do(&h.w.hooks[i])
			return h.w.hooks[i], h.w.fail
		}
	}
	return webhook.Webhook{}, missing("webhook", id)
}

func (h hooks) Change(_ context.Context, id uuid.UUID, c adminapi.WebhookChange, checks ...webhook.Check) (webhook.Webhook, error) {
	if err := h.check(id, checks); err != nil {
		return webhook.Webhook{}, err
	}
	return h.edit(id, func(w *webhook.Webhook) {
		if c.Name != nil {
			w.Name = *c.Name
		}
		if c.Cadence != nil {
			w.Cadence = *c.Cadence
		}
		if c.Content != nil {
			w.Content = *c.Content
		}
		if c.CallbackURI != nil {
			w.CallbackURI = *c.CallbackURI
		}
		if c.AllowPrivate != nil {
			w.AllowPrivate = *c.AllowPrivate
		}
	})
}

func (h hooks) Verify(_ context.Context, id uuid.UUID) (webhook.Webhook, adminapi.Challenge, error) {
	w, err := h.edit(id, func(w *webhook.Webhook) { w.Status = webhook.Active })
	if h.w.wrong {
		err = fmt.Errorf("webhook %s: %w: it answered 500", w.Name, webhook.ErrChallenge)
	}
	return w, h.w.answer, err
}

func (h hooks) Test(context.Context, uuid.UUID) (webhook.Attempt, error) {
	return webhook.Attempt{N: 1, Outcome: webhook.OutcomeDelivered, Status: 204}, h.w.fail
}

func (h hooks) RotateKey(_ context.Context, id uuid.UUID, overlap time.Duration) (webhook.Webhook, error) {
	for _, w := range h.w.hooks {
		if w.ID == id && w.KeyOverlap != nil {
			return w, fmt.Errorf("webhook %s: %w: it signs with two keys already", id, webhook.ErrConflict)
		}
	}
	return h.edit(id, func(w *webhook.Webhook) {
		w.OldKey, w.Key, w.KeyOverlap = w.Key, bytes.Repeat([]byte{2}, 32), &webhook.KeyOverlap{Since: noon, Until: noon.Add(overlap)}
	})
}

func (h hooks) TryKey(_ context.Context, id uuid.UUID) (webhook.Webhook, webhook.Attempt, error) {
	w, err := h.edit(id, func(*webhook.Webhook) {})
	return w, webhook.Attempt{N: 1, Outcome: webhook.OutcomeFailed, Status: 401}, err
}

func (h hooks) FinishKey(_ context.Context, id uuid.UUID, force bool) (webhook.Webhook, *webhook.Attempt, error) {
	if !force {
		return webhook.Webhook{}, &webhook.Attempt{}, fmt.Errorf("webhook %s: %w: its receiver did not accept a test payload signed with the new key alone (401), so the old key stays", id, webhook.ErrConflict)
	}
	w, err := h.edit(id, func(w *webhook.Webhook) { w.OldKey, w.KeyOverlap = nil, nil })
	return w, nil, err
}

func (h hooks) CancelKey(_ context.Context, id uuid.UUID) (webhook.Webhook, error) {
	for _, w := range h.w.hooks {
		if w.ID == id && w.KeyOverlap == nil {
			return w, fmt.Errorf("webhook %s: %w: it signs with one key, no rotation is going on", id, webhook.ErrConflict)
		}
	}
	return h.edit(id, func(w *webhook.Webhook) { w.Key, w.OldKey, w.KeyOverlap = w.OldKey, nil, nil })
}

func (h hooks) TryTokens(context.Context) (map[uuid.UUID]adminapi.Challenge, error) {
	all := map[uuid.UUID]adminapi.Challenge{}
	for i := range h.w.hooks {
		all[h.w.hooks[i].ID] = h.w.answer
	}
	return all, h.w.fail
}

func (w *world) UseManagementToken(_ context.Context, fingerprint string, at time.Time) error {
	if w.tokenUses == nil {
		w.tokenUses = map[string]time.Time{}
	}
	w.tokenUses[fingerprint] = at
	return w.fail
}

func (w *world) ManagementTokenUse(_ context.Context, fingerprint string) (time.Time, error) {
	return w.tokenUses[fingerprint], w.fail
}

func (h hooks) Recover(_ context.Context, id uuid.UUID, p webhook.Policy) (webhook.Webhook, error) {
	rec, err := p.Begin(noon)
	if err != nil {
		return webhook.Webhook{}, err
	}
	return h.edit(id, func(w *webhook.Webhook) { w.Recovery = rec })
}

func (h hooks) Enable(_ context.Context, id uuid.UUID, force bool, _ webhook.Policy) (webhook.Webhook, error) {
	if h.w.wrong && !force {
		return webhook.Webhook{}, fmt.Errorf("webhook %s: %w: it answered 500", id, webhook.ErrChallenge)
	}
	for _, w := range h.w.hooks {
		if force && w.ID == id && w.Status != webhook.Active && w.VerifiedAt.IsZero() {
			return webhook.Webhook{}, fmt.Errorf("webhook %s: %w: its callback was never verified", id, webhook.ErrConflict)
		}
	}
	return h.edit(id, func(w *webhook.Webhook) { w.Status = webhook.Active })
}

func (h hooks) Disable(_ context.Context, id uuid.UUID) (webhook.Webhook, error) {
	return h.edit(id, func(w *webhook.Webhook) { w.Status, w.Reason = webhook.Disabled, webhook.ByOperator })
}

func (h hooks) check(id uuid.UUID, checks []webhook.Check) error {
	for i := range h.w.hooks {
		for _, check := range checks {
			if h.w.hooks[i].ID == id {
				if err := check(&h.w.hooks[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (h hooks) Remove(_ context.Context, id uuid.UUID, checks ...webhook.Check) (int, error) {
	if err := h.check(id, checks); err != nil {
		return 0, err
	}
	h.w.hooks = slices.DeleteFunc(h.w.hooks, func(w webhook.Webhook) bool { return w.ID == id })
	return 2, h.w.fail
}

func (h hooks) PlanResend(_ context.Context, f webhook.DeliveryFilter) (webhook.ResendPlan, error) {
	plan := webhook.ResendPlan{States: map[webhook.State]int{}}
	for _, d := range h.w.past {
		if d.Webhook == f.Webhook && d.State.Final() && (f.State == "" || f.State == d.State) && !d.CreatedAt.Before(f.Since) {
			plan.Match++
			plan.States[d.State]++
		}
	}
	return plan, nil
}

func (h hooks) ResendAll(ctx context.Context, f webhook.DeliveryFilter) (webhook.ResendPlan, int, error) {
	h.w.resent = f
	plan, err := h.PlanResend(ctx, f)
	return plan, plan.Match, cmp.Or(h.w.fail, err)
}

func (h hooks) Resend(_ context.Context, id uuid.UUID) (webhook.Delivery, error) {
	for _, d := range h.w.past {
		if d.ID != id {
			continue
		}
		if !d.State.Final() {
			return d, fmt.Errorf("delivery %s: %w: it waits, and leaves by itself", id, webhook.ErrConflict)
		}
		made := d
		made.ID, made.ResendOf, made.State = uuid.New(), &id, webhook.Waiting
		h.w.past = append(h.w.past, made)
		return made, h.w.fail
	}
	return webhook.Delivery{}, missing("delivery", id)
}

func (h hooks) Queues() map[uuid.UUID]adminapi.Queue { return h.w.queues }

func (w *world) Health(context.Context) health.Report {
	return health.Report{Conditions: append([]health.Condition{}, w.conditions...)}
}

func (w *world) Unready(ctx context.Context) []health.Condition { return w.Health(ctx).Unready() }
