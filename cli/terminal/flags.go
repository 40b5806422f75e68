package terminal

import (
	"fmt"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
)

// Switch is a flag that is there or not.
func Switch(name, usage string) ucli.Flag {
	return &ucli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

// YesFlag is the flag of commands that ask before they do what cannot be undone.
func YesFlag() ucli.Flag {
	return &ucli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask", DisableDefaultText: true}
}

// ConfigFlag names the daemon's config. The environment is looked at by [Session.ConfigPath]
// and not by the library, because a flag typed beats any variable.
func ConfigFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "config", Usage: "the daemon's config `FILE` [$PLUGBEAT_CONFIG]"}
}

// ClientFlags are the flags of a command that speaks to a daemon, after its own.
func ClientFlags(own ...ucli.Flag) []ucli.Flag {
	return append(own, ConfigFlag(), &ucli.StringFlag{Name: "socket", Usage: "the daemon's unix socket `PATH` [$PLUGBEAT_SOCKET]"})
}

// NewApp is a command line of these commands.
func NewApp(s *Session, commands ...*ucli.Command) *ucli.App {
	return &ucli.App{
		Name: "plugbeat", HelpName: "plugbeat", Usage: "webhooks for vehicles, at a cadence that follows the plug",
		Reader: s.In, Writer: s.Out, ErrWriter: s.Err,
		HideVersion: true, HideHelpCommand: true, EnableBashCompletion: true, DisableSliceFlagSeparator: true,
		ExitErrHandler: func(*ucli.Context, error) {}, // Run reports errors
		Commands:       commands,
	}
}

// AppExample is [Example] for the program itself.
func AppExample(text string) string { return withExample(ucli.AppHelpTemplate, text) }

// Example returns the library's help template with an EXAMPLE section at its end, of
// command lines that can be typed as they are.
func Example(text string) string { return withExample(ucli.SubcommandHelpTemplate, text) }

func withExample(template, text string) string {
	lines := strings.ReplaceAll("\n"+strings.TrimSpace(text), "\n", "\n   ")
	return template + "\nEXAMPLE:" + strings.ReplaceAll(lines, "\n   \n", "\n\n") + "\n"
}

// Args is the action of a command with so many arguments; most < 0 means any number.
func Args(least, most int, do ucli.ActionFunc) ucli.ActionFunc {
	return func(c *ucli.Context) error {
		if err := wantArgs(c, least, most); err != nil {
			return err
		}
		return do(c)
	}
}

// wantArgs checks the number of arguments; most < 0 means any number.
func wantArgs(c *ucli.Context, least, most int) error {
	name, n := c.Command.HelpName, c.NArg()
	text := ""
	switch {
	case n < least:
		text = fmt.Sprintf("%s needs %s", name, c.Command.ArgsUsage)
	case most == 0 && n > 0:
		text = fmt.Sprintf("%s takes no argument, got %q", name, c.Args().First())
	case most >= 0 && n > most:
		text = fmt.Sprintf("%s takes %s, got one more: %q", name, c.Command.ArgsUsage, c.Args().Get(most))
	default:
		return nil
	}
	return &UsageError{Text: text, Hint: seeHelp(name)}
}

// OneOf returns which of these switches is on; empty for none. More than one are refused.
func OneOf(c *ucli.Context, flags ...string) (on string, err error) {
	for _, f := range flags {
		if !c.Bool(f) {
			continue
		}
		if on != "" {
			return "", &UsageError{Text: fmt.Sprintf("--%s and --%s are one step each: give one of them", on, f), Hint: seeHelp(c.Command.HelpName)}
		}
		on = f
	}
	return on, nil
}

// onUsageError turns the library's complaints about a flag's value into usage errors.
func onUsageError(c *ucli.Context, err error, _ bool) error {
	text := err.Error()
	// invalid value "x" for flag -spread: parse error
	// invalid boolean value "x" for -json: parse error
	for _, form := range [][2]string{{"invalid value ", " for flag -"}, {"invalid boolean value ", " for -"}} {
		after, ok := strings.CutPrefix(text, form[0])
		if value, rest, cut := strings.Cut(after, form[1]); ok && cut {
			name, why, _ := strings.Cut(rest, ": ")
			text = fmt.Sprintf("--%s %s: %s", name, value, expectation(c.Command.Flags, name, why))
		}
	}
	return &UsageError{Text: text, Hint: seeHelp(c.Command.HelpName)}
}

// expectation says what a flag's value may be.
func expectation(flags []ucli.Flag, name, why string) string {
	for _, f := range flags {
		if f.Names()[0] != name {
			continue
		}
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
	}
	return why
}

// Collect walks every page of a list.
func Collect[T any](page func(after string) (adminapi.Page[T], error)) ([]T, error) {
	list := []T{}
	for item, err := range adminapi.All(page) {
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

// Items is the JSON of a whole list: one page without a next.
func Items[T any](list []T) adminapi.Page[T] { return adminapi.Page[T]{Items: list} }

// Moment reads a flag that is a time, or a length of time before now.
func Moment(c *ucli.Context, flag string, now time.Time) (time.Time, error) {
	v := c.String(flag)
	if v == "" {
		return time.Time{}, nil
	}
	if t, ok := parseMoment(v, now); ok {
		return t, nil
	}
	return time.Time{}, &UsageError{Text: fmt.Sprintf("--%s %q: want how long ago (2h, 30m) or a time (2026-01-31, 2026-01-31T08:00:00Z)",
		flag, v)}
}

func parseMoment(v string, now time.Time) (time.Time, bool) {
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, v, now.Location()); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
