package server

import (
	"testing"

	"plugbeat/webhook"
)

// A follower that takes nothing is kept so many changes and no more; what was missed is
// counted behind those, and the next take begins anew.
func TestFeedIsBounded(t *testing.T) {
	var f Feed
	f.Publish(made(aDelivery(1, carA))) // nobody follows
	all := f.follow(func(*webhook.Change) bool { return true })
	ofCar := f.follow(func(c *webhook.Change) bool { return c.Vehicle == carB })
	for range maxPending + 5 {
		f.Publish(made(aDelivery(2, carA)))
	}
	f.Publish(made(aDelivery(3, carB)))
	if cs, missed := f.take(ofCar); len(cs) != 1 || missed != 0 || cs[0].Delivery.ID[15] != 3 {
		t.Errorf("of a vehicle: %d changes, %d missed", len(cs), missed)
	}
	if cs, missed := f.take(all); len(cs) != maxPending || missed != 6 || cs[0].Delivery.ID[15] != 2 {
		t.Errorf("of all: %d changes, %d missed", len(cs), missed)
	}
	f.Publish(made(aDelivery(4, carA)))
	if cs, missed := f.take(all); len(cs) != 1 || missed != 0 || cs[0].Delivery.ID[15] != 4 {
		t.Errorf("afterwards: %d changes, %d missed", len(cs), missed)
	}
	f.leave(all)
	f.Publish(made(aDelivery(5, carA)))
	if cs, _ := f.take(all); len(cs) != 0 {
		t.Errorf("after leaving: %d changes", len(cs))
	}
}
