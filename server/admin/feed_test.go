package admin

import (
	"testing"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// changed is the change that made the n-th delivery of a vehicle.
func changed(n byte, of uuid.UUID) []webhook.Change {
	return []webhook.Change{webhook.ChangeOf(webhook.Delivery{ID: uuid.UUID{15: n}, Vehicle: of}, nil)}
}

// A follower that takes nothing is kept so many changes and no more; what was missed is
// counted behind those, and the next take begins anew.
func TestFeedIsBounded(t *testing.T) {
	var f Feed
	vehicleA, vehicleB := uuid.New(), uuid.New()
	f.Publish(changed(1, vehicleA)) // nobody follows
	all := f.follow(func(*webhook.Change) bool { return true })
	ofB := f.follow(func(c *webhook.Change) bool { return c.Vehicle == vehicleB })
	for range maxPending + 5 {
		f.Publish(changed(2, vehicleA))
	}
	f.Publish(changed(3, vehicleB))
	if cs, missed := ofB.take(); len(cs) != 1 || missed != 0 || cs[0].Delivery.ID[15] != 3 {
		t.Errorf("of a vehicle: %d changes, %d missed", len(cs), missed)
	}
	if cs, missed := all.take(); len(cs) != maxPending || missed != 6 || cs[0].Delivery.ID[15] != 2 {
		t.Errorf("of all: %d changes, %d missed", len(cs), missed)
	}
	f.Publish(changed(4, vehicleA))
	if cs, missed := all.take(); len(cs) != 1 || missed != 0 || cs[0].Delivery.ID[15] != 4 {
		t.Errorf("afterwards: %d changes, %d missed", len(cs), missed)
	}
	f.leave(all)
	f.Publish(changed(5, vehicleA))
	if cs, _ := all.take(); len(cs) != 0 {
		t.Errorf("after leaving: %d changes", len(cs))
	}
}
