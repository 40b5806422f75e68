// Package source is the commands about sources: list, show, watch, try and discover. They are what
// an owner gets a map right with.
//
// Change here what these commands print; what a message becomes the maps of the source know.
package source

import (
	"context"
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/phrase"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// Command is the command source.
func Command(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "source",
		Usage: "see what sources hear, and get a map right",
		Description: `A source is where readings of vehicles come from. Those that are told of changes, by a broker or a
server of yours, have maps: which topic or which member of a document says what, and by which words. These
commands show what comes, what a map makes of it, and why not.`,
		CustomHelpTemplate: terminal.Example(`
plugbeat source list
plugbeat source show broker
plugbeat source watch broker
plugbeat source discover --broker mqtt://192.168.1.10`),
		Subcommands: []*ucli.Command{s.listCommand(), s.showCommand(), s.watchCommand(), s.tryCommand(), s.discoverCommand()},
	}
}

func (s commands) listCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "list",
		Usage: "list sources, and what is wrong with them",
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat source list
plugbeat source list --json`),
		Action: s.WithClient(0, 0, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			list, err := a.Sources(ctx)
			return s.Show(c, list, err, func(p *terminal.Page) {
				var rows []terminal.Row
				for _, v := range list.Items {
					r := terminal.Texts(v.Name, terminal.OrDash(v.Type), fmt.Sprint(v.Vehicles), p.Rel(v.LastOK))
					for _, wrong := range wrongWith(v.Source) {
						r.Notes = append(r.Notes, terminal.Cell{Text: wrong, Style: terminal.Yellow})
					}
					rows = append(rows, r)
				}
				p.List("no sources yet; add one to the config: plugbeat config describe sources",
					terminal.Columns("NAME", "TYPE", "VEHICLES", "LAST VALUE"), rows)
			})
		}),
	}
}

// wrongWith is what is wrong with a source, each with its remedy.
func wrongWith(v adminapi.Source) (wrong []string) {
	for _, problem := range v.Problems {
		wrong = append(wrong, problem.Text+"; "+problem.Remedy)
	}
	if len(wrong) == 0 && v.LastFault != "" && v.LastOK.Before(v.LastFaultAt) {
		wrong = append(wrong, v.LastFault)
	}
	return wrong
}

func (s commands) showCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "show",
		Usage:     "show a source, what its maps are bound to, and what came of it",
		ArgsUsage: "NAME",
		Description: `For a source with maps: what it is connected to, since when, and for each vehicle what is known and what each
input of its map is bound to, with what was said last, and the last message that was refused and why. For a
source that is polled: its vehicles, when they were read, and what reading has cost.`,
		Flags: terminal.ClientFlags(),
		CustomHelpTemplate: terminal.Example(`
plugbeat source show broker
plugbeat source show broker --json`),
		Action: s.WithClient(1, 1, func(ctx context.Context, c *ucli.Context, a *adminapi.Client) error {
			v, err := a.Source(ctx, c.Args().First())
			return s.Show(c, v, err, func(p *terminal.Page) { showSource(p, v) })
		}),
	}
}

func showSource(p *terminal.Page, v adminapi.SourceView) {
	fields := [][2]string{{"source", v.Name}, {"type", v.Type}}
	if i := v.Inspection; i != nil {
		fields = append(fields, [2]string{"server", i.Server}, [2]string{"version", i.Version},
			[2]string{"connected", p.Or(i.ConnectedSince, "no")},
			[2]string{"last message", p.Or(i.LastMessage, "none on this connection")}, [2]string{"messages", fmt.Sprint(i.Messages)})
	}
	fields = append(fields, [2]string{"vehicles", fmt.Sprint(v.Vehicles)}, [2]string{"reads", fmt.Sprintf("%d (%d paths, %s)", v.Reads, v.PathReads,
		words.Count(v.Faults, "fault"))}, [2]string{"last value", p.Rel(v.LastOK)})
	for _, line := range phrase.Spending(p, v.Source) {
		fields = append(fields, [2]string{"cost", line})
	}
	p.Fields(fields...)
	for _, wrong := range wrongWith(v.Source) {
		p.Marked(p.Paint(terminal.Yellow, "! "), 2, wrong, terminal.Plain)
	}
	if v.Inspection != nil {
		for _, one := range v.Inspection.Vehicles {
			showMap(p, one)
		}
		if len(v.Inspection.Vehicles) == 0 {
			p.Line("")
			p.Line("it has no vehicle yet; see what there is: plugbeat source discover %s", words.Shell(v.Name))
		}
		return
	}
	p.Line("")
	var rows []terminal.Row
	for _, g := range v.FirstVehicles {
		r := terminal.Texts(phrase.VehicleID(p, g.Vehicle.ID), g.Vehicle.Name, phrase.State(g.State), p.Rel(g.ReadAt), fmt.Sprint(g.Subscriptions))
		if g.Trouble != "" {
			r.Notes = []terminal.Cell{{Text: g.Trouble, Style: terminal.Yellow}}
		}
		rows = append(rows, r)
	}
	p.List("no vehicles yet", terminal.Columns("ID", "NAME", "STATE", "READ", "WEBHOOKS"), rows)
}

// showMap prints a vehicle's map with what came of it.
func showMap(p *terminal.Page, v vehicle.InspectedVehicle) {
	p.Line("")
	p.Line("%s", p.Paint(terminal.Bold, "vehicle "+words.Clean(v.Native))+" "+v.ID.String())
	var rows []terminal.Row
	for _, value := range v.Values {
		r := terminal.Texts(value.Path, value.Name, terminal.OrDash(value.Is),
			p.Rel(value.ObservedAt), p.Rel(value.ChangedAt), p.Rel(value.ConfirmedAt))
		if value.Fault != "" {
			r.Notes = []terminal.Cell{{Text: "not sent: " + value.Fault, Style: terminal.Yellow}}
		}
		rows = append(rows, r)
	}
	p.Table(terminal.Columns("PATH", "VALUE", "IS", "AS OF", "CHANGED", "CONFIRMED"), rows)
	p.Line("")
	rows = nil
	before := "" // of two inputs at one topic that are refused alike
	for _, in := range v.Inputs {
		said := in.Became
		if in.Refusal != nil && !in.Refusal.Over {
			said = "refused"
		}
		r := terminal.Texts(in.Input, strings.TrimSpace(in.Topic+" "+in.At), terminal.OrDash(said), p.Rel(in.HeardAt))
		if f := in.Refusal; f != nil && f.Why != before {
			before = f.Why
			why := f.Why
			if !strings.Contains(why, f.Payload) {
				why = f.Payload + ": " + why
			}
			r.Notes = append(r.Notes, terminal.Cell{Text: "refused " + p.Rel(f.At) + ": " + why, Style: terminal.Yellow})
			if f.Remedy != "" && !f.Over {
				r.Notes = append(r.Notes, terminal.Cell{Text: f.Remedy})
			}
		}
		rows = append(rows, r)
	}
	p.Table(terminal.Columns("INPUT", "BOUND TO", "LAST SAID", "HEARD"), rows)
}
