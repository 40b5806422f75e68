package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/alert"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
	"plugbeat/words"
)

const (
	// downFor is how long nothing is had of a source before it is told.
	downFor = 15 * time.Minute
	// backupLate is how long a scheduled backup is due before it is told; a try that
	// failed is told at once.
	backupLate = time.Hour
)

// newAlerts returns the alerter of the config's targets, none of which may be there.
func (a *App) newAlerts(instance uuid.UUID) (*alert.Alerter, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	o := alert.Options{Standing: (&watch{a: a, since: map[string]time.Time{}}).standing, Memory: alertMemory{a.store},
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
		events := make([]alert.Event, len(c.Events))
		for i, e := range c.Events {
			events[i] = alert.Event(e)
		}
		o.Targets = append(o.Targets, alert.Target{Name: name, Template: alert.Template(c.Template), URL: url, Token: token,
			Severity: alert.Severity(c.Severity), Events: events, Interval: c.Interval, Client: a.alertClient(c.AllowPrivate)})
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

// watch says how everything stands that alerts are about.
type watch struct {
	a  *App
	mu sync.Mutex
	// since is when the trouble of each source was first seen.
	since map[string]time.Time
}

func (w *watch) standing(ctx context.Context) ([]alert.Condition, error) {
	now := time.Now()
	hooks, err := w.a.store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	queues := deliveries{w.a.dispatcher, w.a.scheduler}.Queues()
	var out []alert.Condition
	for i := range hooks {
		out = append(out, webhookConditions(&hooks[i], queues[hooks[i].ID].DisabledAt, now)...)
	}
	info, err := upkeep{w.a}.Info(ctx)
	if err != nil {
		return nil, err
	}
	out = append(out, storeCondition(info))
	if b := w.a.backups.status(); b != nil {
		out = append(out, backupCondition(b, now))
	}
	for _, s := range (upkeep{w.a}).Sources() {
		out = append(out, sourceCondition(s, w.troubled(s, now), now))
	}
	census, _ := w.a.store.Census(0)
	owner := alert.Condition{Key: "vehicles/owner", Subject: "vehicles", Text: "every vehicle's account lets it be read again"}
	if n := census.NeedsOwner; n > 0 {
		owner.Event, owner.Severity, owner.Stage = alert.VehicleOwner, alert.Error, fmt.Sprint(n)
		owner.Text = fmt.Sprintf("%s cannot be read until the owner does something, as signing in again; see: plugbeat status", words.Count(n, "vehicle"))
	}
	clock := alert.Condition{Key: "clock", Subject: "the clock", Text: "the clocks agree again"}
	if what, mend := w.a.clocks.Look(now).Trouble(server.ClockAnswers); what != "" {
		clock.Event, clock.Severity, clock.Text = alert.ClockOff, alert.Error, what+"; "+mend
	}
	return append(out, owner, clock), nil
}

// troubled returns since when a source has been in trouble; zero when it is not.
func (w *watch) troubled(s api.Source, now time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch _, known := w.since[s.Name]; {
	case !s.Trouble():
		delete(w.since, s.Name)
	case !known:
		w.since[s.Name] = now
	}
	return w.since[s.Name]
}

// webhookConditions are how a webhook stands, and what died and expired of its
// deliveries. disabledAt is when a failing one will be disabled.
func webhookConditions(w *webhook.Webhook, disabledAt, now time.Time) []alert.Condition {
	id, subject := w.ID.String(), "webhook "+w.Name
	health := alert.Condition{Key: "webhook/" + id, Subject: subject, Text: fmt.Sprintf("it is active again; %d waiting", w.Ledger.Waiting())}
	about := w.Breaker.LastAnswer
	if about != "" {
		about = ": " + about
	}
	switch {
	case w.Status == webhook.Disabled:
		health.Event, health.Stage, health.Severity = alert.WebhookDisabled, string(w.Reason), alert.Error
		health.Text = fmt.Sprintf("it is disabled (%s)", w.Reason)
		if w.ReasonText != "" {
			health.Text += ": " + w.ReasonText
		}
		switch w.Reason {
		case webhook.ByOperator, webhook.CallbackChanged:
			health.Severity = alert.Info // somebody's wish
		case webhook.Exhausted:
			health.Text += fmt.Sprintf("; %d waiting, nothing is lost: it comes back by itself when its receiver answers a challenge", w.Ledger.Waiting())
		case webhook.Gone:
			health.Text += "; run: plugbeat webhook enable " + w.Name
		}
	case w.Failing():
		health.Event, health.Severity = alert.WebhookOpened, alert.Warning
		health.Text = fmt.Sprintf("it is failing%s; %d waiting", about, w.Ledger.Waiting())
		if !disabledAt.IsZero() {
			health.Text += fmt.Sprintf("; if nothing changes, it is disabled in %s", words.Span(disabledAt.Sub(now)))
		}
	}
	return []alert.Condition{
		health,
		{Key: "dead/" + id, Event: alert.DeliveryDead, Severity: alert.Error, Subject: subject, Counts: true, Count: w.Ledger.Dead,
			Text: "dead deliveries: %d, which its receiver refused for good; see: plugbeat delivery list --state dead"},
		{Key: "expired/" + id, Event: alert.DeliveryExpired, Severity: alert.Error, Subject: subject, Counts: true, Count: w.Ledger.Expired,
			Text: "expired deliveries: %d, because the data file was over retention.max_size; see: plugbeat delivery list --state expired"},
	}
}

func storeCondition(i api.StoreInfo) alert.Condition {
	c := alert.Condition{Key: "store", Subject: "the disk", Text: "there is room, and it can be written"}
	switch i.State {
	case webhook.DiskNearlyFull:
		c.Event, c.Severity, c.Text = alert.StoreNearlyFull, alert.Warning, fmt.Sprintf("%d MiB are free where %s is, and %d MiB of it are in use: make room", i.DiskFreeBytes>>20, i.Path, i.LiveBytes>>20)
	case webhook.DiskFull:
		c.Event, c.Severity, c.Text = alert.StoreNoSpace, alert.Error, "it is full: nothing is read or delivered until there is space for "+i.Path
	case webhook.DiskReadOnly:
		c.Event, c.Severity, c.Text = alert.StoreReadOnly, alert.Error, "it is read-only: nothing is read or delivered until "+i.Path+" can be written"
	}
	return c
}

func backupCondition(b *api.Backups, now time.Time) alert.Condition {
	c := alert.Condition{Key: "backup", Subject: "the backup", Text: "a backup was made: " + b.LastFile}
	switch {
	case b.Failed != "":
		c.Event, c.Severity, c.Text = alert.BackupFailed, alert.Error, b.Failed
	case !b.Next.IsZero() && now.Sub(b.Next) > backupLate:
		c.Event, c.Severity, c.Text = alert.BackupLate, alert.Error, "it has been due for more than "+words.Span(backupLate)+" and is not there"
	}
	return c
}

func sourceCondition(s api.Source, since, now time.Time) alert.Condition {
	c := alert.Condition{Key: "source/" + s.Name, Subject: "source " + s.Name, Text: "it gives values again"}
	switch {
	case !s.Configured:
		c.Event, c.Severity, c.Text = alert.SourceMissing, alert.Error, fmt.Sprintf("%s of it, and the config does not have it: they are not read", words.Count(s.Vehicles, "vehicle"))
	case !since.IsZero() && now.Sub(since) >= downFor:
		c.Event, c.Severity, c.Text = alert.SourceDown, alert.Error, "it has given no value for "+words.Span(downFor)+" or more: "+s.LastFault
	}
	return c
}

// warnOfAlerts says at the start which targets are where a webhook's receiver is: what
// takes the one down may take the other down.
func (a *App) warnOfAlerts(ctx context.Context) error {
	hooks, err := a.store.Webhooks(ctx)
	for _, s := range a.alerts.States() {
		for _, w := range hooks {
			if s.Host == webhook.HostPort(w.CallbackURI) {
				a.log.Warn().Str("event", "config.warning").Msg(server.SharedHost(s.Name, w.Name, s.Host))
			}
		}
	}
	return err
}

// Alerts tells how the targets of alerts fare.
func (u upkeep) Alerts() []api.AlertTarget {
	var out []api.AlertTarget
	for _, s := range u.a.alerts.States() {
		out = append(out, api.AlertTarget{Name: s.Name, Template: string(s.Template), Severity: string(s.Severity), Host: s.Host, Waiting: s.Waiting,
			Sent: s.Sent, Failed: s.Failed, Told: s.Told, Folded: s.Folded, LastSent: s.LastSent, LastError: s.LastError, LastErrorAt: s.LastErrorAt, NextTry: s.NextTry})
	}
	return out
}

// TestAlerts sends a test to one target, or to all for an empty name.
func (u upkeep) TestAlerts(ctx context.Context, target string) ([]api.AlertTested, error) {
	results, err := u.a.alerts.Test(ctx, target)
	out := make([]api.AlertTested, 0, len(results))
	for _, r := range results {
		t := api.AlertTested{Target: r.Target, Host: r.Host, Arrived: r.Err == nil, Status: r.Status, Duration: r.Duration}
		if r.Err != nil {
			t.Error = r.Err.Error()
		}
		out = append(out, t)
	}
	return out, err
}
