package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/terminal"
	"plugbeat/words"
)

// The bounds of status --every, and how long a page tells that the daemon is back.
const (
	leastEvery = 200 * time.Millisecond
	mostEvery  = time.Hour
	backFor    = 30 * time.Second
)

// Sequences of a terminal: the alternate screen without a cursor, and back; the upper
// left corner; the rest of a line, and of the screen, cleared.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toCorner    = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// watching is what a watcher knows of the daemon from page to page.
type watching struct {
	socket string
	// st is the last status; at is when it came, zero before the first.
	st adminapi.Status
	at time.Time
	// gone is since when the daemon does not answer, zero while it does; why says how.
	gone time.Time
	why  error
	// back is when it last came back, after away.
	back time.Time
	away time.Duration
}

// take takes in an answer, or that none came. It returns an error that waiting does
// not mend.
func (w *watching) take(st adminapi.Status, err error, now time.Time) error {
	switch {
	case err == nil:
		if !w.gone.IsZero() {
			w.back, w.away = now, now.Sub(w.gone)
		}
		w.st, w.at, w.gone, w.why = st, now, time.Time{}, nil
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, context.Canceled):
		return err
	}
	if _, ok := errors.AsType[*adminapi.Error](err); ok && w.at.IsZero() {
		return err // another version, say
	}
	if w.gone.IsZero() {
		w.gone = now
	}
	w.why = err
	return nil
}

// attention adds one line of what needs a person.
func attention(p *terminal.Page, text string) {
	p.Marked(p.Paint(terminal.Red, "!")+" ", 2, text, terminal.Plain)
}

// show puts the last status on the page, and how old it is when it is.
func (w *watching) show(p *terminal.Page) {
	switch {
	case !w.gone.IsZero() && w.at.IsZero():
		attention(p, fmt.Sprintf("no daemon answers at %s, for %s; waiting for it", w.socket, words.Span(p.Now.Sub(w.gone))))
		return
	case !w.gone.IsZero() && w.st.Stopping:
		attention(p, fmt.Sprintf("the daemon stopped %s ago; waiting for it to come back; below is what it said last",
			words.Span(p.Now.Sub(w.gone))))
	case !w.gone.IsZero():
		why := fmt.Sprint(w.why)
		if errors.Is(w.why, adminapi.ErrNoDaemon) {
			why = "none listens at " + w.socket
		}
		attention(p, fmt.Sprintf("the daemon has not answered for %s (%s); below is what it said last", words.Span(p.Now.Sub(w.gone)), why))
	case !w.back.IsZero() && p.Now.Sub(w.back) < backFor:
		p.Line("%s", p.Paint(terminal.Yellow, fmt.Sprintf("the daemon is back, after %s without an answer", words.Span(w.away))))
	}
	showStatus(p, w.st)
}

// watch shows the status again and again until ctx ends, which is how it is meant to
// end: on a terminal on a screen of its own, else page after page, in JSON a status a
// line. A daemon that goes away is waited for.
func (s commands) watch(c *ucli.Context) (err error) {
	every := c.Duration("every")
	if every < leastEvery || every > mostEvery {
		return &terminal.UsageError{Text: fmt.Sprintf("--every %s: want a duration from %s to %s", every, leastEvery, words.Span(mostEvery)),
			Hint: "see: plugbeat status --help"}
	}
	path, from, err := s.Socket(c)
	if err != nil {
		return err
	}
	a := adminapi.Dial(path)
	defer a.Close()
	asJSON := c.Bool("json")
	screen := s.OutTTY && !asJSON
	if screen {
		if err := s.Write(enterScreen); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Write(leaveScreen)) }()
	}
	w := watching{socket: path}
	for first := true; ; first = false {
		st, err := a.Status(c.Context)
		if c.Err() != nil {
			return nil
		}
		if err := w.take(st, err, s.Now()); err != nil {
			return s.Explain(err, path, from)
		}
		if err := s.Write(s.frame(&w, first, screen, asJSON)); err != nil {
			return err
		}
		if s.Rest(c.Context, every) != nil {
			return nil
		}
	}
}

// frame is one look at the daemon as it is written.
func (s commands) frame(w *watching, first, screen, asJSON bool) string {
	if asJSON {
		if !w.gone.IsZero() {
			return "" // who reads it counts the lines
		}
		b, _ := json.Marshal(w.st) // it came as JSON
		return string(b) + "\n"
	}
	p := s.Page()
	if screen {
		p.Line("%s", p.Paint(terminal.Dim, p.Now.Local().Format(time.TimeOnly)+"  Ctrl-C ends"))
	} else if !first {
		p.Line("")
	}
	if !screen {
		p.Line("%s", p.Now.UTC().Format(time.RFC3339))
	}
	w.show(p)
	if !screen {
		return p.String()
	}
	_, height := s.Size()
	return onScreen(p.String(), height)
}

// onScreen draws a page over the one before, cut to the height of the terminal.
func onScreen(page string, height int) string {
	lines := strings.Split(strings.TrimRight(strings.ToValidUTF8(page, ""), "\n"), "\n")
	if n := len(lines); n > height {
		lines = append(lines[:max(height-1, 0)], fmt.Sprintf("… %d more lines", n-height+1))
	}
	return toCorner + strings.Join(lines, clearLine+"\n") + clearLine + clearBelow
}
