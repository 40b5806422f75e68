package app

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/alert"
	"plugbeat/health"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/webhook"
)

// newAlerts returns the alerter of the config's targets, none of which may be there.
func (a *App) newAlerts(instance uuid.UUID) (*alert.Alerter, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	o := alert.Options{Standing: a.standing, Memory: alertMemory{a.store},
		From: alert.Origin{Instance: instance.String(), Host: host}, Log: a.log}
	for _, name := range a.cfg.AlertNames() {
		c := a.cfg.Alerts[name]
		url, err := a.cfg.AlertURL(name)
		if err != nil {
			return nil, err
		}
		token, err := a.cfg.AlertToken(name)
		if err != nil {
			return nil, err
		}
		codes := make([]health.Code, len(c.Events))
		for i, e := range c.Events {
			codes[i] = health.Code(e)
		}
		o.Targets = append(o.Targets, alert.Target{Name: name, Template: alert.Template(c.Template), URL: url, Token: token,
			Severity: health.Severity(c.Severity), Codes: codes, Interval: c.Interval, Client: a.alertClient(c.AllowPrivate)})
	}
	return alert.New(o), nil
}

// alertClient makes requests that pass the check that those to webhooks pass: no proxy,
// no redirect, every address looked at as it is dialled.
func (a *App) alertClient(allowPrivate bool) *http.Client {
	t := a.guard.Transport(func(string) bool { return allowPrivate }, alert.Timeout)
	t.DisableKeepAlives = true
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// alertMemory is what alert targets were told, beside the secrets in the data file: what a
// webhook is called is nobody's business either.
type alertMemory struct{ store *store.Store }

// Load returns nothing for a target that was told nothing.
func (t alertMemory) Load(ctx context.Context, target string) ([]byte, error) {
	b, err := t.store.Secret(ctx, store.AlertMemory+target)
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Save returns once it is durable.
func (t alertMemory) Save(ctx context.Context, target string, b []byte) error {
	return t.store.PutSecret(ctx, store.AlertMemory+target, b)
}

// kicking is the delivery loop's meter, which also has alerts looked at when a webhook
// changed.
type kicking struct {
	*server.Metrics
	kick func()
}

// Transitioned counts a transition and has it told.
func (k kicking) Transitioned(id uuid.UUID, t webhook.Transition) {
	k.Metrics.Transitioned(id, t)
	k.kick()
}

// startTime is how long after the start the loops may take to turn before somebody is told.
const startTime = time.Minute

// standing is what is wrong, for alerts and the log: nothing is known while the daemon starts.
func (a *App) standing(ctx context.Context) (health.Report, error) {
	if err := a.unwell(time.Now()); err != nil && time.Since(a.opened) < startTime {
		return health.Report{}, err
	}
	return a.health.Health(ctx), nil
}

// Alerts tells how the targets of alerts fare.
func (u upkeep) Alerts() []adminapi.AlertTarget {
	var out []adminapi.AlertTarget
	for _, s := range u.a.alerts.States() {
		out = append(out, adminapi.AlertTarget{Name: s.Name, Template: string(s.Template), Severity: string(s.Severity), Host: s.Host, Waiting: s.Waiting,
			Sent: s.Sent, Failed: s.Failed, Told: s.Told, Folded: s.Folded, LastSent: s.LastSent, LastError: s.LastError, LastErrorAt: s.LastErrorAt, NextTry: s.NextTry})
	}
	return out
}

// TestAlerts sends a test to one target, or to all for an empty name.
func (u upkeep) TestAlerts(ctx context.Context, target string) ([]adminapi.AlertTested, error) {
	results, err := u.a.alerts.Test(ctx, target)
	out := make([]adminapi.AlertTested, 0, len(results))
	for _, r := range results {
		t := adminapi.AlertTested{Target: r.Target, Host: r.Host, Arrived: r.Err == nil, Status: r.Status, Duration: r.Duration}
		if r.Err != nil {
			t.Error = r.Err.Error()
		}
		out = append(out, t)
	}
	return out, err
}
