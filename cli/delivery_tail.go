package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/google/uuid"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// How long one question of a tail waits for something to happen, and how long a
// daemon that is away is left alone between questions.
const (
	tailWait  = 25 * time.Second
	tailRetry = time.Second
)

func (s *shell) deliveryTailCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "tail",
		Usage: "follow deliveries as they are made, attempted and finished",
		Description: `Prints one line for each step, until Ctrl-C. A daemon that restarts is waited for, and the tail goes
on where it was: no step is missed and none comes twice. With --json each line is an object whose
cursor goes on from there when given as --after, also another day; steps are kept as long as
retention.records.`,
		Flags: append([]ucli.Flag{
			&ucli.StringFlag{Name: "webhook", Usage: "only of this `WEBHOOK`, a name or an id"},
			&ucli.StringFlag{Name: "vehicle", Usage: "only of the vehicle with this `ID`"},
			&ucli.StringFlag{Name: "since", Usage: "begin at `TIME`: how long ago (2h), or a date and time (default: now)"},
			&ucli.StringFlag{Name: "after", Usage: "go on after the step with this `CURSOR`"},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat delivery tail
plugbeat delivery tail --webhook fleet --since 1h --json`),
		Action: s.tail,
	}
}

// tailer is what a tail knows: where it is, and the names of webhooks.
type tailer struct {
	q     api.TailQuery
	names map[uuid.UUID]string
	gone  bool // the daemon does not answer
}

func (s *shell) tail(c *ucli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	q, err := s.tailQuery(c)
	if err != nil {
		return err
	}
	path, from, err := s.socket(c)
	if err != nil {
		return err
	}
	a := api.Dial(path)
	defer a.Close()
	t := tailer{q: q, names: map[uuid.UUID]string{}}
	for {
		answer, err := a.Tail(c.Context, t.q)
		switch {
		case c.Err() != nil:
			return s.tailEnd(c, t.q.After)
		case err != nil && !t.passes(err):
			return s.explain(err, path, from)
		case err != nil:
			if !t.gone {
				t.gone = true
				s.say("the daemon is away; waiting for it")
			}
			if s.rest(c.Context, tailRetry) != nil {
				return s.tailEnd(c, t.q.After)
			}
			continue
		}
		if t.gone {
			t.gone = false
			s.say("the daemon is back")
		}
		if answer.Missed {
			s.say("some steps are missing: they are no longer kept, or the data file is another one")
		}
		if err := s.tailLines(c, a, &t, answer.Items); err != nil {
			return err
		}
		t.q.After, t.q.Since, t.q.Wait = answer.Next.String(), time.Time{}, tailWait
	}
}

func (s *shell) tailQuery(c *ucli.Context) (q api.TailQuery, err error) {
	q = api.TailQuery{Webhook: c.String("webhook"), After: c.String("after"), Limit: api.MaxLimit}
	if v := c.String("vehicle"); v != "" {
		if q.Vehicle, err = vehicleID(v); err != nil {
			return q, err
		}
	}
	if q.Since, err = moment(c, "since", s.now()); err != nil {
		return q, err
	}
	if q.After != "" && !q.Since.IsZero() {
		return q, &usageError{msg: "--since and --after exclude each other", hint: "see: plugbeat delivery tail --help"}
	}
	return q, nil
}

// passes reports whether an error is one that waiting mends: the daemon is away, and
// it answered before.
func (t *tailer) passes(err error) bool {
	if t.q.Wait == 0 || errors.Is(err, fs.ErrPermission) {
		return false
	}
	e, ok := errors.AsType[*api.Error](err)
	return !ok || e.Code == api.CodeUnavailable
}

// say tells of the tail itself, beside its lines.
func (s *shell) say(text string) { _, _ = fmt.Fprintf(s.err, "plugbeat: %s\n", text) }

// tailEnd is how a tail is meant to end.
func (s *shell) tailEnd(c *ucli.Context, after string) error {
	if after != "" && s.errTTY && !c.Bool("json") {
		s.say("to go on from here: plugbeat delivery tail --after " + after)
	}
	return nil
}

func (s *shell) tailLines(c *ucli.Context, a *api.Client, t *tailer, steps []webhook.Change) error {
	p := s.page()
	for _, step := range steps {
		if c.Bool("json") {
			b, err := json.Marshal(step)
			if err != nil {
				return fmt.Errorf("encode result: %w", err)
			}
			p.b.Write(append(b, '\n'))
			continue
		}
		name, err := t.name(c.Context, a, step.Delivery.Webhook)
		if err != nil {
			name = step.Delivery.Webhook.String() // it is shown by its name from the next line on
		}
		at := step.At.UTC().Format("2006-01-02T15:04:05.000Z")
		if s.outTTY {
			at = step.At.Local().Format("15:04:05.000")
		}
		p.line("%s  %s  %s  %s  %s", at, clean(name), step.Delivery.Vehicle, step.Delivery.ID, clean(stepText(step)))
	}
	if p.b.Len() == 0 {
		return nil
	}
	return s.write(p.b.String())
}

// name is the webhook's, its id where it was removed.
func (t *tailer) name(ctx context.Context, a *api.Client, id uuid.UUID) (string, error) {
	if name, ok := t.names[id]; ok {
		return name, nil
	}
	w, err := a.Webhook(ctx, id.String())
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeNotFound {
		w.Name, err = id.String(), nil
	}
	if err == nil {
		t.names[id] = w.Name
	}
	return w.Name, err
}

// stepText says in one line what happened to a delivery.
func stepText(c webhook.Change) string {
	d := c.Delivery
	switch {
	case c.State == webhook.Waiting && c.Attempt == nil && d.ResendOf != nil:
		return "made, a resend of " + d.ResendOf.String()
	case c.State == webhook.Waiting && c.Attempt == nil:
		return fmt.Sprintf("made (%s), %s", d.Cause, size(int64(d.Bytes)))
	}
	var parts []string
	if c.State.Final() {
		parts = append(parts, string(c.State))
	}
	if c.Attempt != nil {
		parts = append(parts, strings.TrimSuffix(fmt.Sprintf("attempt %d in %s: %s", c.Attempt.N, took(c.Attempt.Duration), answer(*c.Attempt)), ": -"))
	}
	text := strings.Join(parts, ", ")
	if c.State.Final() && d.FinalText != "" {
		text += "; " + d.FinalText
	}
	return text
}
