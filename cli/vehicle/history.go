package vehicle

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
)

func (s commands) historyCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "history",
		Usage:     "show how a vehicle's level and plug went",
		ArgsUsage: "VEHICLE",
		Description: `A row for each change, and one every five minutes at most without, oldest first. They are kept for
retention.history of the config, with the place only where retention.places says so.`,
		Flags: terminal.ClientFlags(
			&ucli.StringFlag{Name: "since", Usage: "only after `TIME`: how long ago (36h), or a date and time", Value: "24h"},
			&ucli.StringFlag{Name: "until", Usage: "only before `TIME`"},
			&ucli.DurationFlag{Name: "resolution", Usage: "one row per `SPAN`, such as 1h, and every change of the plug", DefaultText: "all rows"},
			terminal.Switch("csv", "print CSV with times in UTC, levels in percent and ranges in km"),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat vehicle history 'the blue one'
plugbeat vehicle history 36ab27d0 --since 2026-01-01 --resolution 1h --csv > year.csv`),
		Action: s.WithClient(1, 1, s.history),
	}
}

func (s commands) history(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
	q := adminapi.HistoryQuery{Resolution: c.Duration("resolution"), Limit: adminapi.MaxLimit}
	if q.Resolution < 0 {
		return &terminal.UsageError{Text: fmt.Sprintf("--resolution %s: want a duration, such as 1h", q.Resolution)}
	}
	if c.Bool("csv") && c.Bool("json") {
		return &terminal.UsageError{Text: "--csv and --json do not go together"}
	}
	var err error
	if q.Since, err = terminal.Moment(c, "since", s.Now()); err != nil {
		return err
	}
	if q.Until, err = terminal.Moment(c, "until", s.Now()); err != nil {
		return err
	}
	points, err := terminal.Collect(func(after string) (adminapi.Page[vehicle.Point], error) {
		q.After = after
		return a.History(ctx, c.Args().First(), q)
	})
	if err != nil {
		return err
	}
	if c.Bool("csv") {
		return s.historyCSV(points)
	}
	return s.Print(c, terminal.Items(points), func(p *terminal.Page) {
		var rows []terminal.Row
		for _, one := range points {
			rows = append(rows, terminal.Texts(one.At.Local().Format("2006-01-02 15:04:05"), percent(one.Level, " %"), number(one.RangeKm, " km"),
				plug(one), charging(one), place(one.Location)))
		}
		p.List("nothing is kept of that time; longer ago: --since", terminal.Columns("TIME", "LEVEL", "RANGE", "PLUG", "CHARGING", "PLACE"), rows)
	})
}

// historyCSV writes the points for a spreadsheet.
func (s commands) historyCSV(points []vehicle.Point) error {
	p := s.Page()
	w := csv.NewWriter(lines{p})
	_ = w.Write([]string{"time", "level_percent", "range_km", "plug", "charge", "latitude", "longitude"}) // to memory
	for _, one := range points {
		latitude, longitude := "", ""
		if l := one.Location; l != nil {
			latitude, longitude = degrees(l.Latitude), degrees(l.Longitude)
		}
		_ = w.Write([]string{one.At.UTC().Format(time.RFC3339Nano), percent(one.Level, ""), number(one.RangeKm, ""), one.Plug.String(),
			string(one.Charge), latitude, longitude})
	}
	w.Flush()
	return s.Write(p.String())
}

// lines writes to a page.
type lines struct{ page *terminal.Page }

func (l lines) Write(text []byte) (int, error) {
	l.page.Text(text)
	return len(text), nil
}

func degrees(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }

// percent is a fraction in percent with the unit; empty for none.
func percent(fraction *float64, unit string) string {
	if fraction == nil {
		return ""
	}
	return strconv.FormatFloat(*fraction*100, 'f', 1, 64) + unit
}

func number(n *float64, unit string) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(*n, 'f', 0, 64) + unit
}

func plug(p vehicle.Point) string {
	if p.Plug == vehicle.StateUnknown {
		return ""
	}
	return phrase.State(p.Plug)
}

func charging(p vehicle.Point) string { return phrase.ChargeState(p.Charge) }

func place(l *vehicle.Location) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%.5f, %.5f", l.Latitude, l.Longitude)
}
