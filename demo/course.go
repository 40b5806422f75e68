package demo

import (
	"context"
	"errors"
	"time"

	"plugbeat/vehicle/simulator"
)

// The vehicles that something happens to, by their numbers.
const (
	pluggedOne = iota
	failingOne
	refusedOne
)

// When something happens, as shares of the demo's time.
const (
	quietAt    = 0.02
	plugAt     = 0.14
	failAt     = 0.215
	refuseAt   = 0.27
	unplugAt   = 0.36
	healAt     = 0.395
	outageAt   = 0.47
	outageEnd  = 0.60
	restartAt  = 0.70
	restartEnd = 0.75
	stopAt     = 0.96
)

// at is how long after its start the demo reaches a share of its time.
func (d *demo) at(share float64) time.Duration { return time.Duration(share * float64(d.For)) }

// script is what happens to the vehicles.
func (d *demo) script() []simulator.Event {
	return []simulator.Event{
		{Vehicle: pluggedOne, At: d.at(plugAt), Do: simulator.Plug},
		{Vehicle: pluggedOne, At: d.at(unplugAt), Do: simulator.Unplug},
		{Vehicle: failingOne, At: d.at(failAt), Until: d.at(healAt), Do: simulator.Fail},
	}
}

// course lets the time pass. It tells the events of the script, and makes the others happen.
func (d *demo) course(ctx context.Context) error {
	named := func(n int) string { return d.show.vehicle(d.fleet.Vehicle(n).ID) }
	steps := []struct {
		at   float64
		what func() error
	}{
		{quietAt, func() error {
			d.show.chapter("Nothing happens: each vehicle is read and delivered when it is due")
			return nil
		}},
		{plugAt, func() error {
			d.show.chapter("A vehicle is plugged in, and later unplugged")
			d.show.plug(d.fleet.Vehicle(pluggedOne).ID)
			d.show.say("fleet", "plug", "%s is plugged in", named(pluggedOne))
			return nil
		}},
		{failAt, func() error {
			d.show.chapter("An account's password changes, and a payload is refused")
			d.show.say("fleet", "fail", "the owner of %s changes the account's password", named(failingOne))
			return nil
		}},
		{refuseAt, func() error {
			d.show.say("receiver", "refuse", "will always refuse one payload of %s with 413; plugbeat sets it aside and retries it up to six times",
				named(refusedOne))
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refused = "armed"
			return nil
		}},
		{unplugAt, func() error {
			d.show.plug(d.fleet.Vehicle(pluggedOne).ID)
			d.show.say("fleet", "unplug", "%s is unplugged", named(pluggedOne))
			return nil
		}},
		{healAt, func() error {
			d.show.say("fleet", "heal", "the owner of %s signs in again", named(failingOne))
			return nil
		}},
		{outageAt, func() error {
			d.show.chapter("The receiver goes down: deliveries wait, and plugbeat probes")
			d.show.say("receiver", "outage", "goes down")
			d.receiving.close()
			return nil
		}},
		{outageEnd, func() error {
			d.show.chapter("The receiver comes back: a probe finds it, and what waited is sent")
			d.show.say("receiver", "outage", "is back")
			return d.receiving.open(ctx)
		}},
		{restartAt, func() error {
			d.show.chapter("plugbeat is stopped, and started again on the same file")
			d.show.say("operator", "restart", "stops plugbeat, as by SIGTERM")
			return d.halt()
		}},
		{restartEnd, func() error {
			d.show.say("operator", "restart", "starts it again")
			return d.boot(ctx)
		}},
		{stopAt, func() error {
			d.show.chapter("The end: plugbeat is stopped, and all accounts are compared")
			return nil
		}},
	}
	for _, s := range steps {
		if err := d.until(ctx, d.at(s.at)); err != nil {
			return err
		}
		if err := s.what(); err != nil {
			return err
		}
	}
	return nil
}

// until waits until so long after the demo's start, unless the daemon ends before.
func (d *demo) until(ctx context.Context, at time.Duration) error {
	t := time.NewTimer(time.Until(d.started.Add(at)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-d.ended:
		d.app = nil
		return errors.Join(errors.New("the daemon ended by itself"), err)
	case <-t.C:
		return nil
	}
}
