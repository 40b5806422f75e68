// Package vehicle is the commands about vehicles: list, show, read, connect, disconnect, and
// subscribe and unsubscribe.
//
// Change here what these commands ask, check and print; what a vehicle is, and whether it may
// be read, the daemon knows.
package vehicle

import (
	"context"
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
		Usage:       "list, read, connect and disconnect vehicles",
		Description: "Reading never wakes a sleeping vehicle.",
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle list
plugbeat vehicle read 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Subcommands: []*ucli.Command{
			s.listCommand(), s.showCommand(), s.readCommand(), s.connectCommand(), s.disconnectCommand(),
		},
	}
}

func (s commands) listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list vehicles with their last reading",
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle list
plugbeat vehicle list --json`),
		Action: s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := terminal.Collect(func(after string) (adminapi.Page[adminapi.VehicleView], error) {
				return a.Vehicles(ctx, after, adminapi.MaxLimit)
			})
			return s.Show(c, terminal.Items(list), err, func(p *terminal.Page) {
				var rows []terminal.Row
				for _, v := range list {
					rows = append(rows, terminal.Texts(v.Vehicle.ID.String(), phrase.Vehicle(v.Vehicle), v.Vehicle.Source, state(v.Status),
						phrase.Battery(v.Status.Last), phrase.Charge(v.Status.Last), p.Rel(v.Status.ReadAt)))
				}
				columns := terminal.Columns("ID", "VEHICLE", "SOURCE", "STATE", "BATTERY", "CHARGE", "READ")
				p.List("no vehicles yet; connect an account: plugbeat vehicle connect --source NAME", columns, rows)
			})
		}),
	}
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
			id, err := terminal.VehicleID(c.Args().First())
			if err != nil {
				return err
			}
			v, err := a.Vehicle(ctx, id)
			return s.Show(c, v, err, func(p *terminal.Page) { showVehicle(p, v) })
		}),
	}
}

func showVehicle(p *terminal.Page, v adminapi.VehicleView) {
	st := v.Status
	p.Fields(
		[2]string{"id", v.Vehicle.ID.String()},
		[2]string{"vehicle", phrase.Vehicle(v.Vehicle)},
		[2]string{"vin", v.Vehicle.VIN},
		[2]string{"mode", v.Vehicle.Mode},
		[2]string{"source", v.Vehicle.Source},
		[2]string{"id at source", v.Vehicle.Native},
		[2]string{"connection", v.Vehicle.Connection},
		[2]string{"connected", p.Rel(v.Vehicle.ConnectedAt)},
		[2]string{"permissions", strings.Join(v.Vehicle.Permissions, " ")},
		[2]string{"state", state(st)},
		[2]string{"state since", p.When(st.Since)},
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
the source may not be asked, it says why and shows what is known, with its age.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "paths", Usage: "the `PATHS` to read, separated by commas", Value: "charge,battery,location"},
			terminal.Switch("ignore-retry-after", "read although the source asked for a wait, which is over then"),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle read 36ab27d0-fd9d-4455-823a-ce30af709ffc --paths charge,battery`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			id, err := terminal.VehicleID(c.Args().First())
			if err != nil {
				return err
			}
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
			snap, err := read(ctx, id, paths)
			return s.Show(c, snap, err, func(p *terminal.Page) { showSnapshot(p, snap) })
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

func state(st vehicle.Status) string {
	text := phrase.State(st.State)
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
			id, err := terminal.VehicleID(c.Args().First())
			if err != nil {
				return err
			}
			v, err := a.Vehicle(ctx, id)
			if err != nil {
				return err
			}
			if err := s.Sure(c, fmt.Sprintf("disconnect %s (%s) and erase its data", words.Clean(phrase.Vehicle(v.Vehicle)), id)); err != nil {
				return err
			}
			done, err := a.DisconnectVehicle(ctx, id)
			return s.Show(c, done, err, func(p *terminal.Page) {
				p.Line("disconnected %s; %s cancelled", id, words.Count(done.Cancelled, "waiting delivery"))
			})
		}),
	}
}
