package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// slowVendor answers a code when it is told to.
type slowVendor struct {
	vehicle.Connector
	asked, answer chan struct{}
	gives         []vehicle.Vehicle
}

func (s slowVendor) ConnectCode(context.Context, string, string) ([]vehicle.Vehicle, error) {
	s.asked <- struct{}{}
	<-s.answer
	return s.gives, nil
}

func (slowVendor) Disconnect(context.Context, vehicle.Vehicle) error { return nil }
func (slowVendor) Forget(context.Context, string) error              { return nil }

// While strangers' codes are at the vendor, which takes its time, an operator's
// disconnection waits for nobody; and what comes in afterwards does not come in without
// its tokens.
func TestSignInHoldsUpNobody(t *testing.T) {
	vendor := slowVendor{asked: make(chan struct{}), answer: make(chan struct{}), gives: []vehicle.Vehicle{{ID: uuid.New(), Connection: "owner"}}}
	d := start(t, configured(t, shortDir(t), simulatorSource), as("vendor", vendor))
	f := d.fleet
	ended := make(chan error, 2)
	signIn := func() {
		_, err := f.SignedIn(t.Context(), "vendor", "code", "https://x/")
		ended <- err
	}
	go signIn()
	go signIn()
	<-vendor.asked
	<-vendor.asked // both are at the vendor
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := d.client.DisconnectVehicle(ctx, d.ids()[0].String()); err != nil {
		t.Errorf("the operator waited: %v", err)
	}
	close(vendor.answer)
	for range 2 {
		if err := <-ended; !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("a vehicle was disconnected meanwhile: %v", err)
		}
	}
	go signIn()
	<-vendor.asked
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
