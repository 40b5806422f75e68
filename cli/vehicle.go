package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/words"
)

func (s *shell) vehicleCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "vehicle",
		Usage:       "list, read, connect and disconnect vehicles",
		Description: "Reading never wakes a sleeping car.",
		CustomHelpTemplate: example(`
plugbeat vehicle list
plugbeat vehicle read 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Subcommands: []*ucli.Command{
			s.vehicleListCommand(), s.vehicleShowCommand(), s.vehicleReadCommand(), s.vehicleConnectCommand(), s.vehicleDisconnectCommand(),
		},
	}
}

func (s *shell) vehicleListCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list vehicles with their last reading",
		Flags: clientFlags(),
		CustomHelpTemplate: example(`
plugbeat vehicle list
plugbeat vehicle list --json`),
		Action: s.withClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := collect(func(after string) (adminapi.Page[adminapi.VehicleView], error) {
				return a.Vehicles(ctx, after, adminapi.MaxLimit)
			})
			if err != nil {
				return err
			}
			return s.print(c, items(list), func(p *page) {
				if len(list) == 0 {
					p.line("no vehicles yet; connect an account: plugbeat vehicle connect --source NAME")
					return
				}
				var rows [][]string
				for _, v := range list {
					rows = append(rows, []string{v.Vehicle.ID.String(), carName(v.Vehicle), v.Vehicle.Source, state(v.Status),
						batteryText(v.Status.Last), chargeText(v.Status.Last), p.rel(v.Status.ReadAt)})
				}
				p.table([]string{"ID", "VEHICLE", "SOURCE", "STATE", "BATTERY", "CHARGE", "READ"}, rows)
			})
		}),
	}
}

func (s *shell) vehicleShowCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "show a vehicle, its last readings and its subscriptions",
		ArgsUsage: "VEHICLE",
		Flags:     clientFlags(),
		CustomHelpTemplate: example(`
plugbeat vehicle show 36ab27d0-fd9d-4455-823a-ce30af709ffc`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			id, err := vehicleID(c.Args().First())
			if err != nil {
				return err
			}
			v, err := a.Vehicle(ctx, id)
			if err != nil {
				return err
			}
			return s.print(c, v, func(p *page) { showVehicle(p, v) })
		}),
	}
}

func showVehicle(p *page, v adminapi.VehicleView) {
	st := v.Status
	p.fields(
		[2]string{"id", v.Vehicle.ID.String()},
		[2]string{"vehicle", carName(v.Vehicle)},
		[2]string{"vin", v.Vehicle.VIN},
		[2]string{"mode", v.Vehicle.Mode},
		[2]string{"source", v.Vehicle.Source},
		[2]string{"id at source", v.Vehicle.Native},
		[2]string{"connection", v.Vehicle.Connection},
		[2]string{"connected", p.rel(v.Vehicle.ConnectedAt)},
		[2]string{"permissions", strings.Join(v.Vehicle.Permissions, " ")},
		[2]string{"state", state(st)},
		[2]string{"state since", when(p, st.Since)},
		[2]string{"read", p.rel(st.ReadAt)},
		[2]string{"reads", fmt.Sprintf("%d (%d paths)", st.Reads, st.PathReads)},
		[2]string{"spent", spentBy(st)},
		[2]string{"not before", notBefore(p, st)},
	)
	p.line("")
	showSnapshot(p, st.Last)
	p.line("")
	if len(v.Subscriptions) == 0 {
		p.line("on no webhook; subscribe: plugbeat subscribe WEBHOOK %s", v.Vehicle.ID)
		return
	}
	var rows [][]string
	for _, sub := range v.Subscriptions {
		rows = append(rows, []string{sub.WebhookName, sub.WebhookSummary, cadenceOf(sub), due(p, sub), p.rel(sub.ProducedAt)})
	}
	p.table([]string{"WEBHOOK", "STATUS", "CADENCE", "NEXT", "LAST PRODUCED"}, rows)
}

// spentBy says what a car has cost in the newest period it was read in.
func spentBy(st vehicle.Status) string {
	if st.Spent.Calls == 0 {
		return ""
	}
	return fmt.Sprintf("%s since %s", count(int(st.Spent.Calls), "call"), st.Spent.Since.Format(time.DateOnly)) //nolint:gosec // a count
}

// notBefore says until when the source asked to wait, while that lies ahead.
func notBefore(p *page, st vehicle.Status) string {
	if !st.NotBefore.After(p.now) {
		return ""
	}
	s := p.rel(st.NotBefore)
	if st.NotBeforeFault != nil {
		s += ": " + st.NotBeforeFault.Error()
	}
	return s
}

func (s *shell) vehicleReadCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "read",
		Usage:       "read a vehicle now",
		ArgsUsage:   "VEHICLE",
		Description: "The source is asked anew, within the same limits as the daemon's reads, and a change that is seen is delivered. While the source may not be asked, it says why and shows what is known, with its age.",
		Flags: append([]ucli.Flag{
			&ucli.StringFlag{Name: "paths", Usage: "the `PATHS` to read, separated by commas", Value: "charge,battery,location"},
			&ucli.BoolFlag{Name: "ignore-retry-after", Usage: "read although the source asked for a wait, which is over then"},
		}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat vehicle read 36ab27d0-fd9d-4455-823a-ce30af709ffc --paths charge,battery`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			id, err := vehicleID(c.Args().First())
			if err != nil {
				return err
			}
			var paths vehicle.Paths
			for name := range strings.SplitSeq(c.String("paths"), ",") {
				path, ok := vehicle.ParsePath(strings.TrimSpace(name))
				if !ok {
					return &usageError{msg: fmt.Sprintf("--paths: %q is not a path; there are charge, battery and location", name)}
				}
				paths |= vehicle.PathsOf(path)
			}
			read := a.ReadVehicle
			if c.Bool("ignore-retry-after") {
				read = a.ReadVehicleRegardless
			}
			snap, err := read(ctx, id, paths)
			if err != nil {
				return err
			}
			return s.print(c, snap, func(p *page) { showSnapshot(p, snap) })
		}),
	}
}

// showSnapshot prints each path that was asked for, with its value or fault.
func showSnapshot(p *page, snap vehicle.Snapshot) {
	asked := snap.Asked()
	if snap.Held != nil {
		p.line("not asked now: %s", clean(snap.Held.Error()))
		if wait := snap.Held.RetryAfter; wait > 0 {
			p.line("it may be asked in %s; what follows is of before", words.Span(wait))
		}
	}
	if asked.Len() == 0 {
		p.line("not read yet")
		return
	}
	var rows [][]string
	for path := range asked.All() {
		value, observed := pathText(snap, path)
		if f := snap.Fault(path); f != nil {
			value, observed = f.Error(), time.Time{}
		}
		rows = append(rows, []string{path.String(), value, p.rel(observed), p.rel(snap.FetchedAt(path))})
	}
	p.table([]string{"PATH", "VALUE", "OBSERVED", "FETCHED"}, rows)
}

// pathText is a path's value in words and the time it speaks of.
func pathText(snap vehicle.Snapshot, path vehicle.Path) (string, time.Time) {
	switch path {
	case vehicle.PathCharge:
		return chargeText(snap), snap.Charge.ObservedAt()
	case vehicle.PathBattery:
		return batteryText(snap), snap.Battery.ObservedAt()
	case vehicle.PathLocation:
		l := snap.Location.Value
		return fmt.Sprintf("%.5f, %.5f", l.Latitude, l.Longitude), snap.Location.ObservedAt()
	}
	return "-", time.Time{}
}

func chargeText(snap vehicle.Snapshot) string {
	r := snap.Charge
	if r.Fault != nil {
		return faultCode(r.Fault)
	}
	if !r.OK {
		return "-"
	}
	plug := map[vehicle.Plug]string{vehicle.PluggedIn: "plugged in", vehicle.Unplugged: "unplugged"}[r.Value.Plug]
	text := strings.ToLower(strings.ReplaceAll(string(r.Value.State), "_", " "))
	if plug == "" || r.Value.State == vehicle.Charging || r.Value.State == vehicle.FullyCharged {
		return text
	}
	return text + ", " + plug
}

func batteryText(snap vehicle.Snapshot) string {
	r := snap.Battery
	if r.Fault != nil {
		return faultCode(r.Fault)
	}
	if !r.OK {
		return "-"
	}
	text := fmt.Sprintf("%.0f %%", r.Value.PercentRemaining*100)
	if r.Value.RangeKm != nil {
		text += fmt.Sprintf(" (%.0f km)", *r.Value.RangeKm)
	}
	return text
}

// faultCode is a fault in one word for a table.
func faultCode(f *vehicle.Fault) string {
	if f.Code != "" {
		return f.Code
	}
	return f.Type
}

func carName(v vehicle.Vehicle) string {
	name := strings.TrimSpace(v.Make + " " + v.Model)
	if v.Year != 0 {
		name += fmt.Sprintf(" %d", v.Year)
	}
	return orDash(name)
}

func stateName(st vehicle.State) string { return strings.ReplaceAll(st.String(), "_", " ") }

func state(st vehicle.Status) string {
	text := stateName(st.State)
	if st.Restricted {
		text += " (no access)"
	}
	return text
}

func (s *shell) vehicleDisconnectCommand() *ucli.Command {
	return &ucli.Command{
		Name:        "disconnect",
		Usage:       "remove a vehicle and erase its readings, payloads and tokens",
		ArgsUsage:   "VEHICLE",
		Description: "Its subscriptions end and its waiting deliveries are cancelled. On a terminal it asks first.",
		Flags:       append([]ucli.Flag{yesFlag()}, clientFlags()...),
		CustomHelpTemplate: example(`
plugbeat vehicle disconnect 36ab27d0-fd9d-4455-823a-ce30af709ffc --yes`),
		Action: s.withClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			id, err := vehicleID(c.Args().First())
			if err != nil {
				return err
			}
			v, err := a.Vehicle(ctx, id)
			if err != nil {
				return err
			}
			if err := s.sure(c, fmt.Sprintf("disconnect %s (%s) and erase its data", clean(carName(v.Vehicle)), id)); err != nil {
				return err
			}
			done, err := a.DisconnectVehicle(ctx, id)
			if err != nil {
				return err
			}
			return s.print(c, done, func(p *page) {
				p.line("disconnected %s; %s cancelled", id, count(done.Cancelled, "waiting delivery"))
			})
		}),
	}
}
