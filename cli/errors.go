package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
)

// usageError is a wrong command line: exit code 2, and nothing was done.
type usageError struct {
	msg  string
	hint string // what to do next; may be empty
}

func (e *usageError) Error() string { return e.msg }

// hinted is a failure with what to do next.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// hint attaches what to do next to an error; nil stays nil.
func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// silent is a failure whose text is already on standard output as the command's
// result, a check that found problems.
type silent struct{ error }

// errorJSON is how --json shows an error: the admin API's error object, with the
// codes usage, no_daemon, no_answer and failure of the command line's own.
type errorJSON struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Field   string `json:"field,omitempty"`
		Value   string `json:"value,omitempty"`
		Allowed string `json:"allowed,omitempty"`
		Hint    string `json:"hint,omitempty"`
	} `json:"error"`
}

// report writes an error once, for a person or as JSON.
func (s *shell) report(err error, asJSON bool) {
	if _, ok := errors.AsType[*silent](err); ok {
		return
	}
	var e errorJSON
	e.Error.Code, e.Error.Message = "failure", err.Error()
	var u *usageError
	var a *adminapi.Error
	switch {
	case errors.As(err, &u):
		e.Error.Code, e.Error.Hint = "usage", u.hint
	case errors.As(err, &a):
		// The answer's own hint goes on a line of its own.
		bare := *a
		bare.Hint = ""
		e.Error.Code, e.Error.Hint = string(a.Code), a.Hint
		e.Error.Message = strings.Replace(err.Error(), a.Error(), bare.Error(), 1)
		e.Error.Field, e.Error.Value, e.Error.Allowed = a.Field, a.Value, a.Allowed
		if a.Code == adminapi.CodeChanged { // the command line looks and acts in one step
			e.Error.Hint = "nothing was changed; look at it again, and repeat the command if you still want it"
		}
	case errors.Is(err, adminapi.ErrNoDaemon):
		e.Error.Code = "no_daemon"
	case errors.Is(err, adminapi.ErrNoAnswer):
		e.Error.Code = "no_answer"
	}
	if h, ok := errors.AsType[*hinted](err); ok {
		e.Error.Hint = h.hint
	}
	if asJSON {
		b, _ := json.Marshal(e) // strings only: cannot fail
		_, _ = fmt.Fprintf(s.err, "%s\n", b)
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "plugbeat: %s\n", cleanLines(e.Error.Message))
	for l := range strings.SplitSeq(e.Error.Hint, "\n") {
		if l != "" {
			fmt.Fprintf(&b, "  %s\n", cleanLines(l))
		}
	}
	_, _ = fmt.Fprint(s.err, b.String())
}

// onUsageError turns the flag parser's complaints into usage errors.
func onUsageError(c *ucli.Context, err error, _ bool) error {
	msg := err.Error()
	// invalid value "x" for flag -spread: parse error
	// invalid boolean value "x" for -json: parse error
	for _, form := range [][2]string{{"invalid value ", " for flag -"}, {"invalid boolean value ", " for -"}} {
		after, ok := strings.CutPrefix(msg, form[0])
		if !ok {
			continue
		}
		if value, rest, ok := strings.Cut(after, form[1]); ok {
			name, why, _ := strings.Cut(rest, ": ")
			f := findFlag(c.Command.Flags, name)
			return &usageError{msg: fmt.Sprintf("--%s %s: %s", name, value, expectation(f, why)), hint: "see: " + c.Command.HelpName + " --help"}
		}
	}
	return &usageError{msg: msg, hint: "see: " + c.Command.HelpName + " --help"}
}

// expectation says what a flag's value may be.
func expectation(f ucli.Flag, why string) string {
	switch f.(type) {
	case *ucli.DurationFlag:
		return "want a duration with its unit, such as 90s, 30m or 1h"
	case *ucli.IntFlag, *ucli.Int64Flag:
		return "want a whole number"
	case *ucli.Float64Flag:
		return "want a number"
	case *ucli.BoolFlag:
		return "want true or false, or no value"
	}
	return why
}

// wantArgs checks the number of arguments; most < 0 means any number.
func wantArgs(c *ucli.Context, least, most int) error {
	n := c.NArg()
	switch {
	case n < least:
		return &usageError{msg: fmt.Sprintf("%s needs %s", c.Command.HelpName, c.Command.ArgsUsage), hint: "see: " + c.Command.HelpName + " --help"}
	case most == 0 && n > 0:
		return &usageError{msg: fmt.Sprintf("%s takes no argument, got %q", c.Command.HelpName, c.Args().First()), hint: "see: " + c.Command.HelpName + " --help"}
	case most >= 0 && n > most:
		return &usageError{msg: fmt.Sprintf("%s takes %s, got one more: %q", c.Command.HelpName, c.Command.ArgsUsage, c.Args().Get(most)), hint: "see: " + c.Command.HelpName + " --help"}
	}
	return nil
}
