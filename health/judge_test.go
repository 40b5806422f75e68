package health_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var (
	noon      = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	hookID    = uuid.MustParse("0191b2a4-0000-7000-8000-000000000001")
	vehicleID = uuid.MustParse("0191b2a4-1111-7000-8000-000000000002")
)

// hook is the facts of an active webhook with five waiting deliveries, and a change.
func hook(edit func(*health.WebhookFacts)) health.Facts {
	w := health.WebhookFacts{Webhook: webhook.Webhook{ID: hookID, Name: "home", Status: webhook.Active, CallbackURI: "https://app.example.com/hook", Ledger: webhook.Ledger{Produced: 9, Delivered: 4}}}
	edit(&w)
	return health.Facts{Webhooks: []health.WebhookFacts{w}, Subscriptions: 1}
}

func disabled(r webhook.Reason, text string) func(*health.WebhookFacts) {
	return func(w *health.WebhookFacts) {
		w.Status, w.Reason, w.ReasonText, w.StatusSince = webhook.Disabled, r, text, noon.Add(-26*time.Hour)
	}
}

func failing(opened, disabled time.Duration) func(*health.WebhookFacts) {
	return func(w *health.WebhookFacts) {
		w.Breaker = webhook.Breaker{OpenSince: noon.Add(-opened), LastAnswer: "500: the receiver failed", NextProbe: noon.Add(4 * time.Minute)}
		w.DisabledAt = noon.Add(disabled)
	}
}

func source(edit func(*health.SourceFacts)) health.Facts {
	f := health.SourceFacts{Name: "fleet", Configured: true, Vehicles: 2, Activity: vehicle.Activity{LastOK: noon}}
	edit(&f)
	return health.Facts{Sources: []health.SourceFacts{f}}
}

func owner(f *vehicle.Fault) health.Facts {
	v := health.VehicleFacts{Vehicle: vehicle.Vehicle{ID: vehicleID, Make: "KIA", Model: "Niro", Source: "fleet"}, Status: vehicle.Status{Restricted: true}}
	v.Last.Charge.Fault = f
	return health.Facts{NeedsOwner: 1, Owners: []health.VehicleFacts{v}}
}

func held(wait time.Duration) health.Facts {
	v := health.VehicleFacts{Vehicle: vehicle.Vehicle{ID: vehicleID, Make: "KIA", Model: "Niro", Source: "fleet"}}
	v.NotBefore, v.NotBeforeFault = noon.Add(wait), &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE"}
	return health.Facts{Held: []health.VehicleFacts{v}}
}

func clocks(hosts ...health.ClockHost) health.Facts { return health.Facts{Clocks: hosts} }

func said(host string, ahead time.Duration) health.ClockHost {
	return health.ClockHost{Host: host, Ahead: ahead, Answers: health.ClockAnswers}
}

const mib = 1 << 20

// found is one kind of trouble: when it is one, as docs/health.md says it, the facts that
// show it, and facts just short of it, which are no such trouble.
type found struct {
	code     health.Code
	severity health.Severity
	when     string
	facts    health.Facts
	short    health.Facts
	text     string
	remedy   string
}

var all = []found{
	{health.StoreNoSpace, health.Error, "the last write found no space",
		health.Facts{Store: webhook.DataFile{Path: "/data/plugbeat.db", Disk: webhook.Disk{State: webhook.DiskFull}}}, health.Facts{Store: webhook.DataFile{Disk: webhook.Disk{State: webhook.DiskOK}}},
		"the disk is full: nothing is read or delivered until there is space for /data/plugbeat.db", "make room on that disk; everything goes on by itself then"},
	{health.StoreReadOnly, health.Error, "the disk takes no writes",
		health.Facts{Store: webhook.DataFile{Path: "/data/plugbeat.db", Disk: webhook.Disk{State: webhook.DiskReadOnly}}}, health.Facts{},
		"the disk is read-only: nothing is read or delivered until /data/plugbeat.db can be written", "see the kernel's log for why, then mount the disk for writing"},
	{health.DaemonNotReady, health.Error, "the data file cannot be read, or a loop has not turned for a minute",
		health.Facts{Parts: []health.PartFacts{{Name: "scheduler", Err: errors.New("its loop has not turned for too long")}}}, health.Facts{Parts: []health.PartFacts{{Name: "scheduler"}}},
		"the part scheduler does not work: its loop has not turned for too long", "see why in the daemon's log, then restart the daemon"},
	{health.DaemonStopping, health.Info, "it was told to stop and waits for what is in flight",
		health.Facts{Stopping: true, Webhooks: []health.WebhookFacts{{Queue: webhook.Queue{InFlight: 1}, Webhook: webhook.Webhook{Status: webhook.Active}}}, Sources: []health.SourceFacts{{}}}, health.Facts{},
		"plugbeat is stopping: it waits for what is in flight (1 delivery, 0 reads), at most for the time of grace, and begins nothing new", "wait for it"},
	{health.ClockOff, health.Error, "the answers of receivers or vendors say, twice in a row, that this machine's clock or theirs is more than a minute off",
		clocks(said("b", -time.Hour), said("a", -time.Hour)), clocks(said("a", time.Minute), health.ClockHost{Host: "once", Ahead: time.Hour, Answers: 1}),
		"this machine's clock is 1h behind that of a, b: receivers refuse what it signs, since signatures may be 5m off", "set this machine's clock: timedatectl set-ntp true"},
	{health.DeliveryExpired, health.Error, "waiting deliveries expired in the last 24 hours; every further one is told again",
		hook(func(w *health.WebhookFacts) { w.Ledger.Expired, w.ExpiredToday = 3, 1 }), hook(func(w *health.WebhookFacts) { w.Ledger.Expired = 3 }),
		"deliveries of webhook home expired: the data file held more than retention.max_size (1 in the last 24 hours, 3 since its first day)",
		"bring the receiver back, or raise retention.max_size; see which: plugbeat delivery list --webhook home --state expired"},
	{health.DeliveryDead, health.Error, "deliveries died in the last 24 hours; every further one is told again",
		hook(func(w *health.WebhookFacts) { w.Ledger.Dead, w.DeadToday = 3, 2 }), hook(func(w *health.WebhookFacts) { w.Ledger.Dead = 3 }),
		"deliveries of webhook home died: the receiver refused them, or took others and never these (2 in the last 24 hours, 3 since its first day)",
		"see the receiver's answers (plugbeat delivery resend sends one again): plugbeat delivery list --webhook home --state dead"},
	{health.WebhookDisabled, health.Error, "`exhausted`: the last probe failed, or a delivery's last retry with nothing delivered since",
		hook(func(w *health.WebhookFacts) {
			disabled(webhook.Exhausted, "413: raise the receiver's limit")(w)
			w.Breaker.NextChallenge = noon.Add(22 * time.Minute)
		}), hook(func(*health.WebhookFacts) {}),
		"webhook home is disabled (exhausted): 413: raise the receiver's limit; 5 waiting; nothing is lost, and it comes back by itself when its receiver answers a challenge (the next leaves in 22m)",
		"mend the receiver, then send at once: plugbeat webhook enable home"},
	{health.WebhookDisabled, health.Error, "`gone`: the receiver answered 410", hook(disabled(webhook.Gone, "it answered 410")), hook(func(*health.WebhookFacts) {}),
		"webhook home is disabled (gone): it answered 410; 5 waiting", "its receiver wants no more; when that has changed: plugbeat webhook enable home"},
	{health.WebhookDisabled, health.Info, "`operator`: somebody disabled it", hook(disabled(webhook.ByOperator, "")), hook(func(*health.WebhookFacts) {}),
		"webhook home is disabled (operator); 5 waiting", "when it is to send again: plugbeat webhook enable home"},
	{health.WebhookDisabled, health.Info, "`callback_changed`: somebody changed its callback URI", hook(disabled(webhook.CallbackChanged, "")), hook(func(*health.WebhookFacts) {}),
		"webhook home is disabled (callback_changed); 5 waiting", "have the receiver at the new callback URI answer a challenge: plugbeat webhook verify home"},
	{health.WebhookOpened, health.Warning, "its circuit breaker is open, and less than half of the time is over after which it is disabled",
		hook(failing(20*time.Minute, 10*time.Hour)), hook(func(w *health.WebhookFacts) { failing(time.Minute, 0)(w); w.Breaker.Owed = webhook.OwedToOperator }),
		"webhook home is failing, and its circuit breaker is open: 500: the receiver failed; 5 waiting; next probe in 4m; disabled in 10h if nothing changes",
		"mend the receiver, then send at once: plugbeat webhook enable home"},
	{health.WebhookOpened, health.Error, "more than half of that time is over",
		hook(failing(6*time.Hour, 5*time.Hour)), hook(failing(5*time.Hour, 6*time.Hour)),
		"webhook home is failing, and its circuit breaker is open: 500: the receiver failed; 5 waiting; next probe in 4m; disabled in 5h if nothing changes",
		"mend the receiver, then send at once: plugbeat webhook enable home"},
	{health.ClockDoubted, health.Warning, "it was set while plugbeat ran, is earlier than what is stored or built, or more than 2 hours later, and no other machine's answer has agreed since (or a day passed); `info` for the first 10 minutes",
		health.Facts{ClockDoubt: "it says 1970-01-01 00:00, and this plugbeat was built later"}, health.Facts{},
		"this machine's clock may be wrong: it says 1970-01-01 00:00, and this plugbeat was built later; until it is believed nothing is erased for its age, and no backup is made or removed",
		"set this machine's clock, or wait for an answer from elsewhere that agrees with it: timedatectl set-ntp true"},
	{health.WebhookPaused, health.Warning, "no network, no name service or no disk holds its queue, and has for 10 minutes; `info` before",
		hook(func(w *health.WebhookFacts) { w.Paused = "lookup app.example.com: no resolver answers" }), hook(func(*health.WebhookFacts) {}),
		"webhook home waits because of this machine's own trouble: lookup app.example.com: no resolver answers; no retry is spent",
		"see what is wrong with the network or the disk: plugbeat doctor"},
	{health.WebhookStuck, health.Warning, "its breaker is closed, and its oldest delivery has waited for more than 10 minutes",
		hook(func(w *health.WebhookFacts) { w.Oldest = noon.Add(-12 * time.Minute) }), hook(func(w *health.WebhookFacts) { w.Oldest = noon.Add(-10 * time.Minute) }),
		"webhook home takes deliveries, but not all; 5 waiting, the oldest for 12m", "see the receiver's answers: plugbeat delivery list --webhook home --state waiting"},
	{health.BackupFailed, health.Error, "the newest try to make a scheduled backup, or to remove an old one, failed",
		health.Facts{Backup: &health.BackupFacts{Folder: "/backups", Failed: "backup.folder /backups does not exist", FailedAt: noon.Add(-time.Minute), Last: noon.Add(-51 * time.Hour)}},
		health.Facts{Backup: &health.BackupFacts{}},
		"the scheduled backup failed: backup.folder /backups does not exist; the last good one is 2d 3h old",
		"mend that: the next try comes by itself within ten minutes, and plugbeat backup FILE makes one elsewhere now"},
	{health.BackupLate, health.Error, "a scheduled backup has been due for more than an hour",
		health.Facts{Backup: &health.BackupFacts{Folder: "/backups", Next: noon.Add(-2 * time.Hour)}}, health.Facts{Backup: &health.BackupFacts{Next: noon.Add(-time.Hour)}},
		"the scheduled backup has been due for 2h and is not there", "see the daemon's log, and whether /backups answers; plugbeat backup FILE makes one elsewhere now"},
	{health.AlertFailed, health.Warning, "no message to a target of alerts has arrived for 10 minutes; `info` before",
		health.Facts{Alerts: []health.AlertFacts{{Name: "phone", LastError: "it answered 403 Forbidden", Waiting: 2}}}, health.Facts{Alerts: []health.AlertFacts{{Name: "phone"}}},
		"alerts to phone do not arrive: it answered 403 Forbidden; 2 waiting", "mend the target, or its settings in the config, then try: plugbeat alert test phone"},
	{health.StoreNearlyFull, health.Warning, "less than 256 MiB, or a tenth of a smaller disk, are free",
		health.Facts{Store: webhook.DataFile{Path: "/data/plugbeat.db", Disk: webhook.Disk{FreeBytes: 200 * mib, MinFreeBytes: 256 * mib}}}, health.Facts{Store: webhook.DataFile{Disk: webhook.Disk{FreeBytes: 256 * mib, MinFreeBytes: 256 * mib}}},
		"the disk is nearly full: 200 MiB are free where /data/plugbeat.db is and 256 should be; when none is left nothing is read or delivered", "make room on that disk"},
	{health.StoreMaxSize, health.Warning, "more than nine tenths of `retention.max_size` are in use",
		health.Facts{Store: webhook.DataFile{MaxBytes: 100 * mib, Disk: webhook.Disk{LiveBytes: 91 * mib}}}, health.Facts{Store: webhook.DataFile{MaxBytes: 100 * mib, Disk: webhook.Disk{LiveBytes: 90 * mib}}},
		"the data file holds 91 of at most 100 MiB: above that, waiting deliveries expire, oldest first", "bring the receivers back, or raise retention.max_size"},
	{health.SourceMissing, health.Error, "a source that the config does not have has vehicles",
		source(func(f *health.SourceFacts) { f.Configured = false }), source(func(*health.SourceFacts) {}),
		"source fleet has 2 vehicles and is not in the config: they are not read", "put it back into the config and restart the daemon, or disconnect its vehicles"},
	{health.SourceDown, health.Error, "it has given nothing but faults for 15 minutes; `info` before",
		source(func(f *health.SourceFacts) {
			f.LastOK, f.LastFault, f.LastFaultAt = noon.Add(-time.Hour), "UPSTREAM:NO_RESPONSE: connection refused", noon.Add(-3*time.Minute)
			f.Silent, f.NotBefore = true, noon.Add(10*time.Minute)
		}), source(func(f *health.SourceFacts) { f.LastFault, f.LastFaultAt = "of one path of three", noon }),
		"source fleet gave no value: UPSTREAM:NO_RESPONSE: connection refused (3m ago); it is not asked again for 10m", "see whether it can be reached from here: plugbeat doctor"},
	{health.SourceHeld, health.Warning, "it asked not to be called, 10 minutes ago or longer; `info` before",
		source(func(f *health.SourceFacts) { f.NotBefore = noon.Add(10 * time.Minute) }), source(func(f *health.SourceFacts) { f.NotBefore = noon }),
		"source fleet asked to be left alone: it is not asked again for 10m", "wait; slower cadences, or a larger plan there, keep it from happening again"},
	{health.SourceSpent, health.Warning, "19 twentieths of a metered source's budget are spent while more than a tenth of the period is left",
		source(func(f *health.SourceFacts) {
			f.Cost = &health.CostFacts{Budget: 500, Spent: 950, Per: "month", Until: noon.Add(240 * time.Hour)}
		}), source(func(f *health.SourceFacts) {
			f.Cost = &health.CostFacts{Budget: 500, Spent: 949, Per: "month", Until: noon.Add(240 * time.Hour)}
		}),
		"source fleet has spent 950 of its 1000 calls and a new month begins in 10d: until then its vehicles are hardly read", "raise its budget, or ask for slower cadences"},
	{health.SourceLate, health.Warning, "a vehicle has been due for more than 10 minutes, although the source may be asked",
		source(func(f *health.SourceFacts) { f.Due = noon.Add(-time.Hour) }), source(func(f *health.SourceFacts) { f.Due = noon.Add(-10 * time.Minute) }),
		"source fleet is 1h late: more is due than it can read", "raise its max_reads, or ask for slower cadences"},
	{health.SourceSilent, health.Warning, "for 15 minutes nothing was heard of a vehicle: its publisher is silent or says that it is offline, nothing arrives of its topics, or its plug is older than `max_age`; `info` before",
		source(func(f *health.SourceFacts) {
			f.Problems = []vehicle.Problem{
				{Code: vehicle.ProblemOffline, Vehicle: "leaf", Since: noon.Add(-time.Hour), Text: "the publisher of vehicle leaf says that it is offline", Remedy: "see why"},
				{Code: vehicle.ProblemSilent, Vehicle: "zoe", Since: noon, Text: "later"},
			}
		}), source(func(f *health.SourceFacts) {
			f.Problems = []vehicle.Problem{{Code: "unreachable", Text: "the broker is away", Since: noon}, {Code: vehicle.ProblemSilent, Vehicle: "leaf", Since: noon.Add(-time.Hour)}}
		}),
		"source fleet: the publisher of vehicle leaf says that it is offline; and 1 more vehicle", "see why; see all of it: plugbeat source show fleet"},
	{health.SourceRefused, health.Warning, "for 10 minutes what is said of a vehicle was not taken: a word in no list, a value out of range or of a wrong form; `info` before",
		source(func(f *health.SourceFacts) {
			f.Problems = []vehicle.Problem{{Code: vehicle.ProblemWord, Vehicle: "leaf", Since: noon.Add(-time.Hour),
				Text: `vehicle leaf: plug at leaf/plug: the word "Frei" is in no list: there are plugged [in], unplugged [out]`, Remedy: "put it into the list that it belongs to"}}
		}), source(func(f *health.SourceFacts) {
			f.Problems = []vehicle.Problem{{Code: "unreachable", Text: "the broker is away", Since: noon}, {Code: vehicle.ProblemWord, Vehicle: "leaf", Since: noon.Add(-time.Hour)}}
		}),
		`source fleet: vehicle leaf: plug at leaf/plug: the word "Frei" is in no list: there are plugged [in], unplugged [out]`,
		"put it into the list that it belongs to; see all of it: plugbeat source show fleet"},
	{health.VehicleOwner, health.Error, "its account, permission or plan keeps it from being read; 5 vehicles are named, one more condition counts the rest",
		owner(&vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Resolution: vehicle.ResolveReauthenticate}), health.Facts{},
		"vehicle KIA Niro 0191b2a4 cannot be read: CONNECTED_SERVICES_ACCOUNT:AUTHENTICATION_FAILED", "its owner gives access again: plugbeat vehicle connect --source fleet"},
	{health.VehicleHeld, health.Warning, "its source asked for an hour or more without a read of it; at most a day is believed",
		held(time.Hour), held(time.Hour - time.Second),
		"vehicle KIA Niro 0191b2a4 is not read for 1h, because its source asked for it: RATE_LIMIT:VEHICLE",
		"wait, or have it read all the same: plugbeat vehicle read --ignore-retry-after 0191b2a4-1111-7000-8000-000000000002"},
	{health.WebhookUnverified, health.Info, "its receiver has not answered a challenge yet",
		hook(func(w *health.WebhookFacts) { w.Status = webhook.Unverified }), hook(func(*health.WebhookFacts) {}),
		"webhook home is not verified, so nothing is delivered to it", "have its receiver answer a challenge: plugbeat webhook verify home"},
	{health.SubscriptionNone, health.Info, "there are webhooks and vehicles, and none is subscribed",
		func() health.Facts {
			f := hook(func(*health.WebhookFacts) {})
			f.Vehicles, f.Subscriptions = 2, 0
			return f
		}(), hook(func(*health.WebhookFacts) {}),
		"no vehicle is subscribed to a webhook, so nothing is read", "subscribe them: plugbeat subscribe home --all"},
	{health.TokenRotating, health.Info, "`management_token_next_file` is set",
		health.Facts{Rotation: &health.RotationFacts{Without: []string{"a", "b"}}}, health.Facts{},
		"the management token is being replaced: not yet with the next one: a, b", "give it to them, then see: plugbeat token rotate-management"},
	{health.WebhookTwoKeys, health.Info, "its key was rotated, and the old one signs too",
		hook(func(w *health.WebhookFacts) {
			w.OldKey, w.KeyOverlap = webhook.Secret("old"), &webhook.KeyOverlap{Since: noon, Until: noon.Add(time.Hour)}
		}), hook(func(w *health.WebhookFacts) {
			w.OldKey, w.KeyOverlap = webhook.Secret("old"), &webhook.KeyOverlap{Until: noon}
		}),
		"webhook home signs with its old key and its new one for 1h more", "once its receiver has the new one: plugbeat webhook rotate-key home --finish"},
	{health.AlertSharedHost, health.Info, "a target of alerts is at the host and port of a webhook's receiver",
		func() health.Facts {
			f := hook(func(*health.WebhookFacts) {})
			f.Alerts = []health.AlertFacts{{Name: "phone", Host: "app.example.com:443"}}
			return f
		}(), hook(func(*health.WebhookFacts) {}),
		"alerts to phone go to app.example.com:443, where the receiver of webhook home is: what takes the one down may keep you from hearing of it", "give alerts another host"},
}

// judged judges facts at noon, by a watch that has seen the same for an hour.
func judged(f health.Facts) health.Report {
	var w health.Watch
	f.Now = noon.Add(-time.Hour)
	w.Judge(f)
	f.Now = noon
	return w.Judge(f)
}

func TestConditions(t *testing.T) {
	codes := map[health.Code]bool{health.StoreFailed: true}
	for _, f := range all {
		codes[f.code] = true
		cs := judged(f.facts).Conditions
		if len(cs) != 1 {
			t.Errorf("%s: %d conditions: %v", f.code, len(cs), cs)
			continue
		}
		c := cs[0]
		if c.Code != f.code || c.Severity != f.severity || c.Text != f.text || c.Advice() != f.remedy {
			t.Errorf("%s %s:\n%s\n%s", c.Code, c.Severity, c.Text, c.Advice())
		}
		if c.Subject.String() == "" || c.Key() == "" || c.Since.IsZero() {
			t.Errorf("%s lacks its subject, its key or its time: %+v", f.code, c)
		}
		for _, c := range judged(f.short).Conditions {
			if c.Code == f.code && c.Severity == f.severity {
				t.Errorf("%s stands already just short of it: %+v", f.code, c)
			}
		}
	}
	for _, c := range health.Codes() {
		if !codes[c] {
			t.Errorf("nothing shows when %s stands", c)
		}
	}
	if n := len(judged(health.Facts{}).Conditions); n != 0 {
		t.Errorf("where all is well there are %d conditions", n)
	}
}

// What often passes by itself is only noted until it has stood for its time, and begins anew
// after it was well.
func TestWhatPassesByItself(t *testing.T) {
	var w health.Watch
	bad := source(func(f *health.SourceFacts) {
		f.LastOK, f.LastFault, f.LastFaultAt = noon.Add(-time.Second), "UPSTREAM", noon
	})
	good := source(func(*health.SourceFacts) {})
	for _, c := range []struct {
		facts health.Facts
		at    time.Duration
		want  string
	}{
		{bad, 0, "info 0s"}, {bad, 15*time.Minute - time.Second, "info 14m"}, {bad, 15 * time.Minute, "error 15m"}, {good, 16 * time.Minute, ""}, {bad, 17 * time.Minute, "info 0s"},
	} {
		c.facts.Now = noon.Add(c.at)
		got := ""
		for _, x := range w.Judge(c.facts).Conditions {
			got = fmt.Sprintf("%s %dm", x.Severity, int(c.facts.Now.Sub(x.Since).Minutes()))
		}
		if got = strings.Replace(got, " 0m", " 0s", 1); got != c.want {
			t.Errorf("after %v: %q, want %q", c.at, got, c.want)
		}
	}
}

func TestOrder(t *testing.T) {
	f := health.Facts{}
	for _, x := range all {
		f.Webhooks = append(f.Webhooks, x.facts.Webhooks...)
		f.Sources = append(f.Sources, x.facts.Sources...)
		f.Owners = append(f.Owners, x.facts.Owners...)
	}
	f.Store, f.NeedsOwner, f.Now = all[0].facts.Store, 3, noon
	cs := judged(f).Conditions
	rank := func(c health.Condition) int { return slices.Index(health.Severities[:], c.Severity) }
	for _, cs := range [][]health.Condition{cs, new(health.Watch).Judge(f).Conditions} { // some are only noted at first
		for i := 1; i < len(cs); i++ {
			a, b := cs[i-1], cs[i]
			if rank(a) < rank(b) || rank(a) == rank(b) && slices.Index(health.Codes(), a.Code) > slices.Index(health.Codes(), b.Code) {
				t.Errorf("%s %s stands before %s %s", a.Severity, a.Code, b.Severity, b.Code)
			}
		}
	}
	if cs[0].Code != health.StoreNoSpace || len(cs) < 20 {
		t.Errorf("%d conditions, the first %s", len(cs), cs[0].Code)
	}
	if u := judged(f).Unready(); len(u) != 1 || u[0].Code != health.StoreNoSpace {
		t.Errorf("unready: %v", u)
	}
}

// What outsiders say stays in one line, and in one word of a shell.
func TestHostileNames(t *testing.T) {
	f := hook(func(w *health.WebhookFacts) {
		w.Name = "x; touch pwned\n\x1b[31m'\u202e"
		failing(time.Minute, time.Hour)(w)
		w.Breaker.LastAnswer = "500\r\n\x1b[2J"
	})
	c := judged(f).Conditions[0]
	if c.Command != `plugbeat webhook enable 'x; touch pwned [31m'\'''` {
		t.Errorf("%s", c.Command)
	}
	if text := c.String() + c.Headline(); strings.ContainsAny(text, "\r\n\x1b\u202e") {
		t.Errorf("%q", text)
	}
}

// No remedy erases anything or makes a new key.
func TestRemediesDestroyNothing(t *testing.T) {
	for _, f := range append(all, found{facts: health.Facts{}}) {
		for _, c := range append(judged(f.facts).Conditions, health.Broken(errors.New("x"))) {
			for _, word := range []string{"remove", " rm", "delete", "openssl", "restore", "--force", "init"} {
				if strings.Contains(c.Advice(), word) {
					t.Errorf("%s: %q", c.Code, c.Advice())
				}
			}
		}
	}
}

// Of a condition that stands no more it is known whether its subject is well, is gone, or has
// not been heard of yet.
func TestFate(t *testing.T) {
	silent := source(func(f *health.SourceFacts) { f.LastOK = time.Time{} })
	many := health.Facts{NeedsOwner: 2, Owners: owner(nil).Owners}
	for _, c := range []struct {
		facts health.Facts
		key   string
		want  health.Fate
	}{
		{hook(func(*health.WebhookFacts) {}), "webhook/" + hookID.String(), health.Ended},
		{health.Facts{}, "webhook/" + hookID.String(), health.Gone},
		{source(func(*health.SourceFacts) {}), "source/fleet", health.Ended},
		{silent, "source/fleet", health.Unknown},
		{health.Facts{}, "source/fleet", health.Gone},
		{health.Facts{}, "store", health.Ended},
		{health.Facts{}, "clock", health.Unknown},
		{clocks(said("a", 0)), "clock", health.Ended},
		{health.Facts{}, "backup", health.Gone},
		{health.Facts{}, "vehicle/" + vehicleID.String(), health.Ended},
		{many, "vehicle/other", health.Unknown},
		{health.Facts{}, "vehicles/owner", health.Gone},
	} {
		if got := judged(c.facts).Fate(c.key); got != c.want {
			t.Errorf("%s: %v, want %v", c.key, got, c.want)
		}
	}
}

// An owner's remedy is the vendor's, where the vendor names one.
func TestOwners(t *testing.T) {
	for _, c := range []struct {
		fault *vehicle.Fault
		want  string
	}{
		{nil, "see what its owner has to do: plugbeat vehicle show " + vehicleID.String()},
		{&vehicle.Fault{ResolutionURL: "https://v.example/x"}, "its owner opens https://v.example/x"},
		{&vehicle.Fault{Resolution: vehicle.ResolveReauthenticate, ResolutionURL: "https://v.example/x"}, "its owner opens https://v.example/x, or gives access again: plugbeat vehicle connect --source fleet"},
	} {
		if got := judged(owner(c.fault)).Conditions[0].Advice(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	f := owner(nil)
	f.NeedsOwner = health.MaxOwners + 3
	f.Owners = slices.Repeat(f.Owners, health.MaxOwners+1)
	cs := judged(f).Conditions
	if len(cs) != health.MaxOwners+1 || !slices.ContainsFunc(cs, func(c health.Condition) bool {
		return c.Text == "3 more vehicles cannot be read until the owner does something"
	}) {
		t.Errorf("%v", cs)
	}
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		name  string
		hosts []health.ClockHost
		text  string // the beginning of it
		mend  string // a part of it
	}{
		{"one host", []health.ClockHost{said("a", -time.Hour)}, "this machine's clock is 1h behind that of a, and no other host tells which", "timedatectl"},
		{"all others", []health.ClockHost{said("b", time.Hour), said("a", time.Hour+time.Second)}, "this machine's clock is 1h ahead of that of a, b: receivers refuse what it signs", "timedatectl"},
		{"a little", []health.ClockHost{said("b", 2*time.Minute), said("a", 2*time.Minute)}, "this machine's clock is 2m ahead of that of a, b: receivers refuse signatures that are", "timedatectl"},
		{"most others", []health.ClockHost{said("a", -10*time.Minute), said("b", -10*time.Minute), said("c", 0)}, "this machine's clock is 10m behind that of a, b:", "timedatectl"},
		{"one of them", []health.ClockHost{said("a", -10*time.Minute), said("b", 0)}, "the clock of a is wrong: this machine's is 10m behind it, and 1 other host agrees", "tell who runs it"},
		{"many", slices.Repeat([]health.ClockHost{said("a", time.Hour)}, 5), "this machine's clock is 1h ahead of that of a, a, a and 2 more:", "timedatectl"},
	} {
		cs := judged(clocks(c.hosts...)).Conditions
		if len(cs) != 1 || !strings.HasPrefix(cs[0].Text, c.text) || !strings.Contains(cs[0].Advice(), c.mend) {
			t.Errorf("%s: %v", c.name, cs)
		}
	}
}

// TestSourceProblem: what a source itself says is wrong is told in its words.
func TestSourceProblem(t *testing.T) {
	f := source(func(f *health.SourceFacts) {
		f.LastFault, f.LastFaultAt = "UPSTREAM:NO_RESPONSE", noon
		f.Problems = []vehicle.Problem{{Code: "login_refused", Text: `the broker b:1883 refuses the user "u"`, Remedy: "set username", Since: noon.Add(-time.Minute)}}
	})
	got := health.Judge(f).Conditions
	if len(got) != 1 || got[0].Code != health.SourceDown || got[0].Text != `source fleet: the broker b:1883 refuses the user "u"` || got[0].Remedy != "set username" {
		t.Errorf("%+v", got)
	}
}

// TestBudgetOfNoVehicles: a source without vehicles has spent nothing of nothing.
func TestBudgetOfNoVehicles(t *testing.T) {
	f := source(func(f *health.SourceFacts) {
		f.Vehicles, f.Cost = 0, &health.CostFacts{Budget: 500, Per: "month", Until: noon.Add(240 * time.Hour)}
	})
	if got := health.Judge(f).Conditions; len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
