package source

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
	"plugbeat/words"
)

func (s commands) watchCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "watch",
		Usage:     "print each message as it comes, with what it became or why not",
		ArgsUsage: "NAME",
		Description: `Prints from now on, until Ctrl-C. "kept" is a message that the broker had kept: nobody knows how old it is. A
line that begins with = says what is known of a vehicle after its plug or its charging state changed, which is what
deliveries are made of. A daemon that restarts is waited for. With --json each line is an object.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat source watch broker`),
		Action: terminal.Args(1, 1, func(c *ucli.Context) error {
			name := c.Args().First()
			if s.ErrTTY {
				s.Say("watching until Ctrl-C; what came before is in: plugbeat source show " + words.Shell(name))
			}
			return terminal.Follow(s.Session, c, terminal.Follower[vehicle.Heard]{
				Name:  "watch",
				Open:  func(a *adminapi.Client) (*adminapi.Stream[vehicle.Heard], error) { return a.Messages(c.Context, name) },
				Event: func(h vehicle.Heard) error { return s.heard(c, h) },
				Missed: func(n int) string {
					return "this watch was read too slowly and missed " + words.Count(n, "message")
				},
				Back: func(time.Time) string { return "; what came meanwhile is not shown" },
			})
		}),
	}
}

// heard prints one thing that the source heard.
func (s commands) heard(c *ucli.Context, h vehicle.Heard) error {
	if c.Bool("json") {
		b, err := json.Marshal(h)
		if err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
		return s.Write(string(b) + "\n")
	}
	at := h.At.UTC().Format("2006-01-02T15:04:05.000Z")
	if s.OutTTY {
		at = h.At.Local().Format("15:04:05.000")
	}
	p := s.Page()
	heardLine(p, at, h)
	return s.Write(p.String())
}

// heardLine prints a message with what it became, or a vehicle with what is known of it.
func heardLine(p *terminal.Page, at string, h vehicle.Heard) {
	if h.Reading != nil {
		p.Line("%s  %s", at, p.Paint(terminal.Green, "= "+words.Clean(h.Vehicle)+" is now: "+known(*h.Reading)))
		return
	}
	text := words.Clean(h.Topic) + " " + payload(h)
	if h.Replayed {
		text += " (kept)"
	}
	became, refused := verdicts(h)
	if len(h.Verdicts) == 0 {
		became = "not used: no map speaks of it, or its `where` does not match"
	}
	p.Line("%s  %s  %s", at, text, p.Paint(terminal.Dim, became))
	for _, line := range refused {
		p.Line("%s  %s", strings.Repeat(" ", len(at)), p.Paint(terminal.Yellow, line))
	}
}

// maxPayload is how many characters of a payload a line shows.
const maxPayload = 80

// payload is what a message said, escaped and cut.
func payload(h vehicle.Heard) string {
	if h.Bytes == 0 {
		return "(empty)"
	}
	quoted := strconv.Quote(h.Payload)
	text := strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if r := []rune(text); len(r) > maxPayload || h.Bytes > len(h.Payload) {
		text = fmt.Sprintf("%s... (%s)", string(r[:min(len(r), maxPayload)]), words.Count(h.Bytes, "byte"))
	}
	return text
}

// verdicts are what a message became, in a line, and a line for each refusal. Inputs that are refused
// alike share one.
func verdicts(h vehicle.Heard) (became string, refused []string) {
	var taken []string
	for _, v := range h.Verdicts {
		at := words.Clean(v.Vehicle) + " " + words.Clean(v.Input)
		if v.Refused == "" {
			taken = append(taken, at+": "+words.Clean(v.Became+v.Nothing))
			continue
		}
		lines := []string{"  refused: " + words.Clean(v.Refused)}
		if v.Remedy != "" {
			lines = append(lines, "  "+words.Clean(v.Remedy))
		}
		if slices.Contains(refused, lines[0]) {
			continue
		}
		refused = append(refused, lines...)
		taken = append(taken, at+": refused")
	}
	return strings.Join(taken, "; "), refused
}

// known is what is known of a vehicle.
func known(snap vehicle.Snapshot) string {
	text := phrase.Charge(snap)
	switch f := snap.Charge.Fault; {
	case f != nil:
		text = "plug not known (" + words.Clean(f.Description) + ")"
	case snap.Charge.DataAge.IsZero():
		text += ", nobody knows since when"
	default:
		text += ", as of " + snap.Charge.DataAge.UTC().Format("15:04:05Z")
	}
	if snap.Battery.OK {
		text += "; " + phrase.Battery(snap)
	}
	if l := snap.Location; l.OK {
		text += fmt.Sprintf("; at %.5f, %.5f", l.Value.Latitude, l.Value.Longitude)
	}
	return text
}

func (s commands) tryCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "try",
		Usage:     "run the maps of a source over a recorded log, without a broker and without a daemon",
		ArgsUsage: "NAME FILE",
		Description: `NAME is a source of the config; FILE, or - for standard input, has a message a line: when it arrived, retain=1 if the
broker had kept it, the topic and the payload, as this records them until Ctrl-C:

   mosquitto_sub -h BROKER -t '#' -F '` + vehicle.RecordedFormat + `' > recorded.log

A document of a source of type http is a line, too: its path is the topic. It prints each message with what it
became or why not, each change, and what is known at the end.`,
		Flags: []ucli.Flag{terminal.ConfigFlag(), terminal.Switch("changes", "print only refusals and changes")},
		CustomHelpTemplate: terminal.Example(`
plugbeat source try broker recorded.log
plugbeat source try broker recorded.log --changes`),
		Action: terminal.Args(2, 2, s.try),
	}
}

func (s commands) try(c *ucli.Context) error {
	name, file := c.Args().Get(0), c.Args().Get(1)
	cfg, _, err := s.Config(c, "the maps of a source")
	if err != nil {
		return err
	}
	source, ok := cfg.Sources[name]
	if !ok {
		return terminal.Hint(fmt.Errorf("the config has no source %q", name), "it has: %s", terminal.OrDash(strings.Join(cfg.SourceNames(), ", ")))
	}
	rehearser, ok := source.Settings.(vehicle.Rehearser)
	if !ok {
		return fmt.Errorf("source %s is of type %s, which has no maps to try", name, source.Type)
	}
	log := s.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		log = f
	}
	heard, err := rehearser.Rehearse(io.Reader(log))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return s.Print(c, struct {
		Heard []vehicle.Heard `json:"heard"`
	}{append([]vehicle.Heard{}, heard...)}, func(p *terminal.Page) { showTried(p, heard, c.Bool("changes")) })
}

// showTried prints what a log became. Messages that no map speaks of are counted.
func showTried(p *terminal.Page, heard []vehicle.Heard, changes bool) {
	var messages, refusals, unused, changed int
	var topics []string
	for _, h := range heard {
		switch {
		case h.End:
			continue
		case h.Reading != nil:
			changed++
		default:
			messages++
			_, refused := verdicts(h)
			if len(refused) > 0 {
				refusals++
			}
			if len(h.Verdicts) == 0 {
				if unused++; !slices.Contains(topics, h.Topic) {
					topics = append(topics, h.Topic)
				}
				continue
			}
			if changes && len(refused) == 0 {
				continue
			}
		}
		heardLine(p, h.At.UTC().Format("2006-01-02 15:04:05"), h)
	}
	p.Line("")
	p.Line("%s: %d refused, %d of topics that no map speaks of; %s", words.Count(messages, "message"), refusals, unused, words.Count(changed, "change"))
	if len(topics) > 0 {
		p.Line("no map speaks of %s", words.Clean(listed(topics)))
	}
	for _, h := range heard {
		if h.End {
			p.Line("at the end %s: %s", words.Clean(h.Vehicle), known(*h.Reading))
		}
	}
}

// listed is the first of some texts, and how many more there are.
func listed(texts []string) string {
	const most = 5
	text := strings.Join(texts[:min(most, len(texts))], ", ")
	if more := len(texts) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
