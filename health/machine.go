package health

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"plugbeat/webhook"
	"plugbeat/words"
)

const (
	// maxSizeShare is how many tenths of retention.max_size may be in use before it is told:
	// above all of it, waiting deliveries expire.
	maxSizeShare = 9
	// backupLate is how long a scheduled backup is due before it is told: the daemon tries
	// again ten minutes after a failure, so an hour is six tries that did not even fail.
	backupLate = time.Hour

	// ClockTolerance is how far from their own clock's the time of a signature may be for
	// receivers of Standard Webhooks.
	ClockTolerance = 5 * time.Minute
	// ClockWarning is how far off a clock is when it is told of, before receivers refuse.
	ClockWarning = time.Minute
	// ClockAnswers is how often in a row a host must have said the same of the clock for it to
	// count: one answer may come from a cache or from another machine behind the name.
	ClockAnswers = 2
)

// daemon judges the process and its parts.
func (j *judge) daemon() {
	plugbeat := Subject{Kind: Daemon}
	j.there(plugbeat, true)
	if j.Stopping {
		flying, reading := 0, 0
		for _, w := range j.Webhooks {
			flying += w.InFlight
		}
		for _, s := range j.Sources {
			reading += s.InFlight
		}
		j.add(Condition{Code: DaemonStopping, Subject: plugbeat, Remedy: "wait for it",
			Text: fmt.Sprintf("plugbeat is stopping: it waits for what is in flight (%s, %s), at most for the time of grace, and begins nothing new",
				words.Count(flying, "delivery"), words.Count(reading, "read"))})
		return // its parts stand still, and should
	}
	for _, p := range j.Parts {
		s := Subject{Kind: DaemonPart, ID: p.Name, Name: p.Name}
		j.there(s, true)
		if p.Err != nil {
			j.add(Condition{Code: DaemonNotReady, Subject: s, Text: fmt.Sprintf("the part %s does not work: %v", p.Name, p.Err),
				Remedy: "see why in the daemon's log, then restart the daemon"})
		}
	}
	if len(j.Webhooks) > 0 && j.Vehicles > 0 && j.Subscriptions == 0 {
		j.add(Condition{Code: SubscriptionNone, Subject: plugbeat, Text: "no vehicle is subscribed to a webhook, so nothing is read",
			Remedy: "subscribe them", Command: command("subscribe", j.Webhooks[0].Name, "--all")})
	}
}

// store judges the disk and the data file.
func (j *judge) store() {
	s, f := Subject{Kind: Store}, j.Store
	j.there(s, true)
	switch {
	case f.State == webhook.DiskFull:
		j.add(Condition{Code: StoreNoSpace, Subject: s, Text: "the disk is full: nothing is read or delivered until there is space for " + f.Path,
			Remedy: "make room on that disk; everything goes on by itself then"})
	case f.State == webhook.DiskReadOnly:
		j.add(Condition{Code: StoreReadOnly, Subject: s, Text: "the disk is read-only: nothing is read or delivered until " + f.Path +
			" can be written",
			Remedy: "see the kernel's log for why, then mount the disk for writing"})
	case f.FreeBytes < f.MinFreeBytes:
		j.add(Condition{Code: StoreNearlyFull, Subject: s, Remedy: "make room on that disk",
			Text: fmt.Sprintf("the disk is nearly full: %d MiB are free where %s is and %d should be; "+
				"when none is left nothing is read or delivered", f.FreeBytes>>20, f.Path, f.MinFreeBytes>>20)})
	}
	if f.MaxBytes > 0 && f.LiveBytes > f.MaxBytes/10*maxSizeShare {
		j.add(Condition{Code: StoreMaxSize, Subject: s, Remedy: "bring the receivers back, or raise retention.max_size",
			Text: fmt.Sprintf("the data file holds %d of at most %d MiB: above that, waiting deliveries expire, oldest first", f.LiveBytes>>20,
				f.MaxBytes>>20)})
	}
}

// backup judges the scheduled backups.
func (j *judge) backup() {
	b := j.Backup
	if b == nil {
		return
	}
	s := Subject{Kind: Backup}
	j.there(s, true)
	switch {
	case b.Failed != "":
		last := "there is no good one in " + b.Folder
		if !b.Last.IsZero() {
			last = "the last good one is " + j.ago(b.Last) + " old"
		}
		j.add(Condition{Code: BackupFailed, Subject: s, Since: b.FailedAt, Text: "the scheduled backup failed: " + b.Failed + "; " + last,
			Remedy: "mend that: the next try comes by itself within ten minutes, and plugbeat backup FILE makes one elsewhere now"})
	case !b.Next.IsZero() && j.Now.Sub(b.Next) > backupLate:
		j.add(Condition{Code: BackupLate, Subject: s, Since: b.Next,
			Text:   "the scheduled backup has been due for " + j.ago(b.Next) + " and is not there",
			Remedy: "see the daemon's log, and whether " + b.Folder + " answers; plugbeat backup FILE makes one elsewhere now"})
	}
}

// rotation judges how far the rotation of the management token is.
func (j *judge) rotation() {
	s := Subject{Kind: Token}
	j.there(s, true)
	if j.Rotation == nil {
		return
	}
	c := Condition{Code: TokenRotating, Subject: s, Text: "the management token is being replaced, and every receiver has the next one",
		Remedy: "when the callers have it too", Command: command("token", "rotate-management", "--finish")}
	if without := j.Rotation.Without; len(without) > 0 {
		c.Text = "the management token is being replaced: not yet with the next one: " + listed(without)
		c.Remedy, c.Command = "give it to them, then see", command("token", "rotate-management")
	}
	j.add(c)
}

// alerts judges the targets of alerts.
func (j *judge) alerts() {
	for _, t := range j.Alerts {
		s := Subject{Kind: AlertTarget, ID: t.Name, Name: t.Name}
		j.there(s, t.Sent+t.Failed > 0)
		j.known[keyOf(rules[AlertSharedHost].group, t.Name)] = true
		if t.LastError != "" {
			j.add(Condition{Code: AlertFailed, Subject: s, Text: fmt.Sprintf("alerts to %s do not arrive: %s; %d waiting", t.Name, t.LastError,
				t.Waiting),
				Remedy: "mend the target, or its settings in the config, then try", Command: command("alert", "test", t.Name)})
		}
		for _, w := range j.Webhooks {
			if t.Host != "" && t.Host == webhook.HostPort(w.CallbackURI) {
				j.add(Condition{Code: AlertSharedHost, Subject: s, Remedy: "give alerts another host",
					Text: fmt.Sprintf("alerts to %s go to %s, where the receiver of webhook %s is: what takes the one down "+
						"may keep you from hearing of it", t.Name, t.Host, w.Name)})
				break
			}
		}
	}
}

// ClockHost is what one host's clock says of this machine's.
type ClockHost struct {
	Host string `json:"host"`
	// Ahead is how far this machine's clock was ahead of the host's at the last
	// answer, in nanoseconds; negative when it was behind.
	Ahead time.Duration `json:"ahead"`
	// At is when that answer came; Answers counts those in a row that said about
	// the same.
	At      time.Time `json:"at"`
	Answers int       `json:"answers"`
}

// clock holds this machine's clock against those of the hosts that said the same often enough.
func (j *judge) clock() {
	s := Subject{Kind: ClockKind}
	var off, right []ClockHost
	for _, h := range j.Clocks {
		switch {
		case h.Answers < ClockAnswers:
		case h.Ahead.Abs() > ClockWarning:
			off = append(off, h)
		default:
			right = append(right, h)
		}
	}
	j.there(s, len(off)+len(right) > 0)
	j.known[rules[ClockDoubted].group] = true
	if j.ClockDoubt != "" {
		j.add(Condition{Code: ClockDoubted, Subject: s,
			Remedy: "set this machine's clock, or wait for an answer from elsewhere that agrees with it",
			Text: "this machine's clock may be wrong: " + j.ClockDoubt +
				"; until it is believed nothing is erased for its age, and no backup is made or removed",
			Command: "timedatectl set-ntp true"})
	}
	if len(off) == 0 {
		return
	}
	slices.SortStableFunc(off, func(a, b ClockHost) int { return cmp.Compare(a.Ahead, b.Ahead) })
	by := off[len(off)/2].Ahead
	var names []string
	for _, h := range off {
		names = append(names, h.Host)
	}
	slices.Sort(names)
	said := listed(names)
	side := func(d time.Duration) string {
		d = d.Round(time.Minute) // a Date has whole seconds
		if d > 0 {
			return words.Span(d) + " ahead of"
		}
		return words.Span(-d) + " behind"
	}
	effect := "receivers refuse signatures that are more than 5m off"
	if by.Abs() > ClockTolerance {
		effect = "receivers refuse what it signs, since signatures may be 5m off"
	}
	c := Condition{Code: ClockOff, Subject: s, Remedy: "set this machine's clock", Command: "timedatectl set-ntp true"}
	switch {
	case len(right) == 0 && len(off) == 1:
		c.Text = fmt.Sprintf("this machine's clock is %s that of %s, and no other host tells which of the two is wrong: %s", side(by), said,
			effect)
		c.Remedy = "tell who runs that host, or set this machine's clock"
	case len(off) > len(right):
		c.Text = fmt.Sprintf("this machine's clock is %s that of %s: %s", side(by), said, effect)
	default:
		others := "1 other host agrees"
		if n := len(right); n > 1 {
			others = fmt.Sprintf("%d other hosts agree", n)
		}
		c.Text = fmt.Sprintf("the clock of %s is wrong: this machine's is %s it, and %s with this machine's; "+
			"such a receiver may refuse what is signed", said, side(by), others)
		c.Remedy, c.Command = "tell who runs it to set its clock", ""
	}
	j.add(c)
}
