package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/google/uuid"

	"plugbeat/store"
	"plugbeat/webhook"
)

// account is what the harness knows of every delivery from outside: what the file
// said at the stops, and what the receiver counted.
type account struct {
	mu       sync.Mutex
	arrivals map[string]int  // requests, by webhook-id
	fresh    map[string]bool // arrived since the last stop

	waiting  map[string]bool // in some queue at the last stop
	unbooked map[string]int  // requests that were in flight at a stop, whose outcome no file has
	all      map[string]bool // every delivery that some file or the receiver knew
	inFlight int             // over all stops
}

func newAccount() *account {
	return &account{arrivals: map[string]int{}, fresh: map[string]bool{}, waiting: map[string]bool{}, unbooked: map[string]int{}, all: map[string]bool{}}
}

// arrived counts a request that reached the receiver.
func (a *account) arrived(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.arrivals[id]++
	a.fresh[id] = true
}

// stopped holds the file of a daemon that was stopped against what is known. limit is
// how many requests the daemon had in flight. It returns how many had arrived of which
// the file knows no outcome; these come again.
func (a *account) stopped(s *store.Store, hooks []uuid.UUID, accepted map[string]int, limit int) (unbooked int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	queued, err := queuedDeliveries(s, hooks)
	if err != nil {
		return 0, err
	}
	waiting, of := map[string]bool{}, map[uuid.UUID]int{}
	for _, d := range queued {
		id := d.ID.String()
		waiting[id], a.all[id] = true, true
		if d.Retries > retries {
			return 0, fmt.Errorf("delivery %s was set aside and has had %d retries, more than %d", id, d.Retries, retries)
		}
		switch more := a.arrivals[id] - d.Attempts - a.unbooked[id]; {
		case more > 1:
			return 0, fmt.Errorf("delivery %s arrived %d times, %d attempts are booked and %d were in flight at earlier stops: %d cannot have been in flight at this one",
				id, a.arrivals[id], d.Attempts, a.unbooked[id], more)
		case more == 1:
			a.unbooked[id]++
			of[d.Webhook]++
			unbooked++
		}
	}
	for hook, n := range of {
		if n > inFlight {
			return 0, fmt.Errorf("%d requests of webhook %s arrived and are not booked; at most %d can be in flight", n, hook, inFlight)
		}
	}
	if unbooked > limit {
		return 0, fmt.Errorf("%d requests arrived and are not booked; %d were in flight", unbooked, limit)
	}
	before := a.waiting
	maps.Copy(before, a.fresh)
	for id := range before {
		a.all[id] = true
		if waiting[id] {
			continue
		}
		d, err := s.Deliveries.Delivery(context.Background(), uuid.MustParse(id))
		switch {
		case errors.Is(err, webhook.ErrNotFound):
			return 0, fmt.Errorf("delivery %s was committed, or sent, and is not in the file", id)
		case err != nil:
			return 0, err
		case d.State != webhook.Delivered:
			return 0, fmt.Errorf("delivery %s is %s (%s) and in no queue", id, d.State, d.FinalText)
		case accepted[id] == 0:
			return 0, fmt.Errorf("delivery %s is booked as delivered, and the receiver never accepted it", id)
		}
	}
	a.waiting, a.fresh = waiting, map[string]bool{}
	a.inFlight += unbooked
	return unbooked, nil
}

// missing counts what the receiver has not yet accepted of all that is known.
func (a *account) missing(accepted map[string]int) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.all {
		if accepted[id] == 0 {
			n++
		}
	}
	return n
}

// final holds every delivery of the file of a daemon that ended in peace: each was
// accepted, and came again at most as often as it was in flight at a stop.
func (a *account) final(s *store.Store, hooks []uuid.UUID, accepted map[string]int) (again int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var booked uint64
	known := map[string]bool{}
	for _, hook := range hooks {
		w, err := s.Webhooks.Webhook(context.Background(), hook)
		if err != nil {
			return 0, err
		}
		booked += w.Ledger.Delivered
		if lost := w.Ledger.Dead + w.Ledger.Expired + w.Ledger.Cancelled + w.Ledger.Superseded; lost > 0 {
			return 0, fmt.Errorf("webhook %s: %+v: nothing was to be lost", w.Name, w.Ledger)
		}
		for before := uuid.Nil; ; {
			page, err := s.Deliveries.Deliveries(context.Background(), webhook.DeliveryFilter{Webhook: hook}, before, 500)
			if err != nil {
				return 0, err
			}
			for _, d := range page {
				before = d.ID
				id := d.ID.String()
				known[id] = true
				if d.State == webhook.Delivered && accepted[id] == 0 {
					return 0, fmt.Errorf("delivery %s is booked as delivered, and the receiver never accepted it", id)
				}
				if n := a.arrivals[id]; n > d.Attempts+a.unbooked[id] {
					return 0, fmt.Errorf("delivery %s arrived %d times; %d attempts are booked and %d were in flight at a stop", id, n, d.Attempts, a.unbooked[id])
				}
				if d.Retries > retries {
					return 0, fmt.Errorf("delivery %s was set aside and has had %d retries, more than %d", id, d.Retries, retries)
				}
				again += max(0, accepted[id]-1)
				if d.State == webhook.Waiting && accepted[id] > 0 && a.unbooked[id] > 0 {
					booked++ // accepted in a process that was stopped; it was about to come again
				}
			}
			if len(page) < 500 {
				break
			}
		}
	}
	for id := range a.all {
		if !known[id] {
			return 0, fmt.Errorf("delivery %s was committed, or sent, and is not in the file", id)
		}
		if accepted[id] == 0 {
			return 0, fmt.Errorf("delivery %s was committed, and never reached the receiver", id)
		}
	}
	if int(booked) != len(accepted) {
		return 0, fmt.Errorf("the ledgers account for %d, the receiver accepted %d", booked, len(accepted))
	}
	if again > a.inFlight {
		return 0, fmt.Errorf("%d came again, %d were in flight at the stops", again, a.inFlight)
	}
	return again, nil
}

// queuedDeliveries reads what waits.
func queuedDeliveries(s *store.Store, hooks []uuid.UUID) (all []webhook.Delivery, err error) {
	for _, hook := range hooks {
		for after := uuid.Nil; ; {
			page, err := s.Deliveries.Backlog(context.Background(), hook, after, 500)
			if err != nil {
				return nil, err
			}
			all = append(all, page...)
			if len(page) < 500 {
				break
			}
			after = page[len(page)-1].ID
		}
	}
	return all, nil
}
