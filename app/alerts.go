package app

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/alert"
	"plugbeat/config"
	"plugbeat/egress"
	"plugbeat/health"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/webhook"
)

// newAlerter returns the alerter of the config's targets, none of which may be there, over
// an alerter's other options.
func newAlerter(cfg config.Config, guard *egress.Guard, o alert.Options) (*alert.Alerter, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	o.From.Host = host
	for _, name := range cfg.AlertNames() {
		c := cfg.Alerts[name]
		url, err := cfg.AlertURL(name)
		if err != nil {
			return nil, err
		}
		token, err := cfg.AlertToken(name)
		if err != nil {
			return nil, err
		}
		codes := make([]health.Code, len(c.Events))
		for i, e := range c.Events {
			codes[i] = health.Code(e)
		}
		o.Targets = append(o.Targets, alert.Target{Name: name, Template: alert.Template(c.Template), URL: url, Token: token,
			Severity: health.Severity(c.Severity), Codes: codes, Interval: c.Interval, Client: alertClient(guard, c.AllowPrivate)})
	}
	return alert.New(o), nil
}

// alertClient makes requests that pass the check that those to webhooks pass: no proxy,
// no redirect, every address looked at as it is dialled.
func alertClient(guard *egress.Guard, allowPrivate bool) *http.Client {
	t := guard.Transport(func(string) bool { return allowPrivate }, alert.Timeout)
	t.DisableKeepAlives = true
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// alertMemory is what alert targets were told, beside the secrets in the data file: what a
// webhook is called is nobody's business either.
type alertMemory struct{ store *store.Store }

// Load returns nothing for a target that was told nothing.
func (t alertMemory) Load(ctx context.Context, target string) ([]byte, error) {
	b, err := t.store.Secrets.Secret(ctx, store.AlertMemory+target)
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Save returns once it is durable.
func (t alertMemory) Save(ctx context.Context, target string, b []byte) error {
	return t.store.Secrets.PutSecret(ctx, store.AlertMemory+target, b)
}

// alertingMeter is the delivery loop's meter, which also has alerts looked at when a webhook
// changed.
type alertingMeter struct {
	*server.Metrics
	kick func()
}

// Transitioned counts a transition and has it told.
func (k alertingMeter) Transitioned(id uuid.UUID, t webhook.Transition) {
	k.Metrics.Transitioned(id, t)
	k.kick()
}

// Alerts tells how the targets of alerts fare.
func (u *upkeep) Alerts() []adminapi.AlertTarget {
	return u.alerts.States()
}

// TestAlerts sends a test to one target, or to all for an empty name.
func (u *upkeep) TestAlerts(ctx context.Context, target string) ([]health.AlertTested, error) {
	return u.alerts.Test(ctx, target)
}
