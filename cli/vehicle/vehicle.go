// Package vehicle is the commands about vehicles: list, show, history, read, rename, connect,
// disconnect, and subscribe and unsubscribe.
//
// Change here what these commands ask, check and print; what a vehicle is, and whether it may
// be read, the daemon knows.
package vehicle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// Command is the command vehicle.
func Command(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:        "vehicle",
		Usage:       "list, read, name, connect and disconnect vehicles",
		Description: "VEHICLE is a name, an id or the beginning of an id. Reading never wakes a sleeping vehicle.",
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle list
plugbeat vehicle read 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Subcommands: []*ucli.Command{
			s.listCommand(), s.showCommand(), s.historyCommand(), s.readCommand(), s.renameCommand(), s.connectCommand(),
			s.disconnectCommand(),
		},
	}
}

func (s commands) listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list vehicles with what is known of their plug and level",
		Description: `AGE is how long ago the vehicle said so. After a read that failed the last known values stay, and a line
below says what failed.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle list
plugbeat vehicle list --json`),
		Action: s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := terminal.Collect(func(after string) (adminapi.Page[adminapi.VehicleView], error) {
				return a.Vehicles(ctx, after, adminapi.MaxLimit)
			})
			return s.Show(c, terminal.Items(list), err, func(p *terminal.Page) { listVehicles(p, list) })
		}),
	}
}

func listVehicles(p *terminal.Page, list []adminapi.VehicleView) {
	var rows []terminal.Row
	for _, v := range list {
		st := v.Status
		level := st.Level()
		row := terminal.Texts(phrase.VehicleID(p, v.Vehicle.ID), v.Vehicle.Name, v.Vehicle.Source, phrase.Plug(st), phrase.Age(p, st.ObservedAt),
			phrase.Level(level), phrase.Age(p, level.ObservedAt()), p.Rel(st.ReadAt))
		for _, text := range unread(p, st.Last) {
			row.Notes = append(row.Notes, terminal.Cell{Text: text, Style: terminal.Yellow})
		}
		rows = append(rows, row)
	}
	columns := terminal.Columns("ID", "NAME", "SOURCE", "PLUG", "AGE", "LEVEL", "AGE", "READ")
	columns[1].Least = 10
	columns[2].Least = 6
	p.List("no vehicles yet; connect an account: plugbeat vehicle connect --source NAME", columns, rows)
}

// unread says which paths were not read and why, those with one fault in one line.
func unread(p *terminal.Page, last vehicle.Snapshot) (lines []string) {
	var whys []string
	paths := map[string][]string{}
	for path := range last.Asked().All() {
		if f := last.Fault(path); f != nil {
			why := fmt.Sprintf("not read %s: %s", p.Rel(last.FetchedAt(path)), f)
			if paths[why] == nil {
				whys = append(whys, why)
			}
			paths[why] = append(paths[why], path.String())
		}
	}
	for _, why := range whys {
		lines = append(lines, strings.Join(paths[why], ", ")+" "+why)
	}
	return lines
}

func (s commands) showCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "show a vehicle, its last readings and its subscriptions",
		ArgsUsage: "VEHICLE",
		Flags:     terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle show 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			v, err := a.Vehicle(ctx, c.Args().First())
			return s.Show(c, v, err, func(p *terminal.Page) { showVehicle(p, v) })
		}),
	}
}

func showVehicle(p *terminal.Page, v adminapi.VehicleView) {
	st := v.Status
	p.Fields(
		[2]string{"id", v.Vehicle.ID.String()},
		[2]string{"name", v.Vehicle.Name},
		[2]string{"model", phrase.Model(v.Vehicle)},
		[2]string{"vin", v.Vehicle.VIN},
		[2]string{"mode", v.Vehicle.Mode},
		[2]string{"source", v.Vehicle.Source},
		[2]string{"id at source", v.Vehicle.Native},
		[2]string{"connection", v.Vehicle.Connection},
		[2]string{"connected", p.Rel(v.Vehicle.ConnectedAt)},
		[2]string{"permissions", strings.Join(v.Vehicle.Permissions, " ")},
		[2]string{"plug", known(p, state(st), st.ObservedAt)},
		[2]string{"plug since", p.When(st.Since)},
		[2]string{"level", known(p, phrase.Level(st.Level()), st.Level().ObservedAt())},
		[2]string{"read", p.Rel(st.ReadAt)},
		[2]string{"reads", fmt.Sprintf("%d (%d paths)", st.Reads, st.PathReads)},
		[2]string{"spent", spentBy(st)},
		[2]string{"not before", notBefore(p, st)},
	)
	p.Line("")
	showSnapshot(p, st.Last)
	p.Line("")
	if len(v.Subscriptions) == 0 {
		p.Line("on no webhook; subscribe: plugbeat subscribe WEBHOOK %s", v.Vehicle.ID)
		return
	}
	var rows []terminal.Row
	for _, sub := range v.Subscriptions {
		rows = append(rows, terminal.Texts(sub.WebhookName, sub.WebhookSummary, phrase.CadenceOf(sub), phrase.Due(p, sub), p.Rel(sub.ProducedAt)))
	}
	p.Table(terminal.Columns("WEBHOOK", "STATUS", "CADENCE", "NEXT", "LAST PRODUCED"), rows)
}

// spentBy says what a vehicle has cost in the newest period it was read in.
func spentBy(st vehicle.Status) string {
	if st.Spent.Calls == 0 {
		return ""
	}
	return fmt.Sprintf("%s since %s", words.Count(int(st.Spent.Calls), "call"), st.Spent.Since.Format(time.DateOnly)) //nolint:gosec // a count
}

// notBefore says until when the source asked to wait, while that lies ahead.
func notBefore(p *terminal.Page, st vehicle.Status) string {
	if !st.NotBefore.After(p.Now) {
		return ""
	}
	s := p.Rel(st.NotBefore)
	if st.NotBeforeFault != nil {
		s += ": " + st.NotBeforeFault.Error()
	}
	return s
}

func (s commands) readCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "read",
		Usage:     "read a vehicle now",
		ArgsUsage: "VEHICLE",
		Description: `The source is asked anew, within the same limits as the daemon's reads, and a change that is seen is delivered. While
the source may not be asked, it says why and shows what is known, with its age. The exit code is 0 when any value was
read, and 1 when none was.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "paths", Usage: "the `PATHS` to read, separated by commas", Value: "charge,battery,location"},
			terminal.Switch("ignore-retry-after", "read although the source asked for a wait, which is over then"),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle read 36ab27d0-fd9d-4455-823a-ce30af709ffc --paths charge,battery`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			var paths vehicle.Paths
			for name := range strings.SplitSeq(c.String("paths"), ",") {
				path, ok := vehicle.ParsePath(strings.TrimSpace(name))
				if !ok {
					return &terminal.UsageError{Text: fmt.Sprintf("--paths: %q is not a path; there are charge, battery and location", name)}
				}
				paths |= vehicle.PathsOf(path)
			}
			read := a.ReadVehicle
			if c.Bool("ignore-retry-after") {
				read = a.ReadVehicleRegardless
			}
			snap, err := read(ctx, c.Args().First(), paths)
			if err := s.Show(c, snap, err, func(p *terminal.Page) { showSnapshot(p, snap) }); err != nil {
				return err
			}
			if snap.Held != nil || !snap.Charge.OK && !snap.Battery.OK && !snap.Location.OK {
				return &terminal.Silent{Err: errors.New("nothing was read")}
			}
			return nil
		}),
	}
}

// showSnapshot prints each path that was asked for, with its value or fault.
func showSnapshot(p *terminal.Page, snap vehicle.Snapshot) {
	asked := snap.Asked()
	if snap.Held != nil {
		p.Line("not asked now: %s", words.Clean(snap.Held.Error()))
		if wait := snap.Held.RetryAfter; wait > 0 {
			p.Line("it may be asked in %s; what follows is of before", words.Span(wait))
		}
	}
	if asked.Len() == 0 {
		p.Line("not read yet")
		return
	}
	var rows []terminal.Row
	for path := range asked.All() {
		value, observed := pathText(snap, path)
		if f := snap.Fault(path); f != nil {
			value, observed = f.Error(), time.Time{}
		}
		rows = append(rows, terminal.Texts(path.String(), value, p.Rel(observed), p.Rel(snap.FetchedAt(path))))
	}
	p.Table(terminal.Columns("PATH", "VALUE", "OBSERVED", "FETCHED"), rows)
}

// pathText is a path's value in words and the time it speaks of.
func pathText(snap vehicle.Snapshot, path vehicle.Path) (string, time.Time) {
	switch path {
	case vehicle.PathCharge:
		return phrase.Charge(snap), snap.Charge.ObservedAt()
	case vehicle.PathBattery:
		return phrase.Battery(snap), snap.Battery.ObservedAt()
	case vehicle.PathLocation:
		l := snap.Location.Value
		return fmt.Sprintf("%.5f, %.5f", l.Latitude, l.Longitude), snap.Location.ObservedAt()
	}
	return "-", time.Time{}
}

// known is what is known with its age; what is not known has none.
func known(p *terminal.Page, text string, at time.Time) string {
	if age := phrase.Age(p, at); text != "" && age != "" {
		return text + ", as of " + p.Rel(at)
	}
	return text
}

func state(st vehicle.Status) string {
	text := phrase.Plug(st)
	if st.Restricted {
		text += " (no access)"
	}
	return text
}

func (s commands) disconnectCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "disconnect",
		Usage:       "remove a vehicle and erase its readings, payloads and tokens",
		ArgsUsage:   "VEHICLE",
		Description: "Its subscriptions end and its waiting deliveries are cancelled. On a terminal it asks first.",
		Flags:       terminal.ClientFlags(terminal.YesFlag()),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle disconnect 36ab27d0-fd9d-4455-823a-ce30af709ffc --yes`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			v, err := a.Vehicle(ctx, c.Args().First())
			if err != nil {
				return err
			}
			name, id := words.Clean(v.Vehicle.Name), v.Vehicle.ID.String()
			if err := s.Sure(c, fmt.Sprintf("disconnect %s (%s) and erase its data", name, id)); err != nil {
				return err
			}
			done, err := a.DisconnectVehicle(ctx, id)
			return s.Show(c, done, err, func(p *terminal.Page) {
				p.Line("disconnected %s (%s); %s cancelled", name, id, words.Count(done.Cancelled, "waiting delivery"))
			})
		}),
	}
}
