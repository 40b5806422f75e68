package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// A vehicle is called what the operator calls it, else what its source calls it, else by make and
// model. The operator's name outlives a new listing and a restart, and an empty one gives the
// vehicle's own back.
func TestNamesOfVehicles(t *testing.T) {
	f := open(t)
	v := newVehicle(1)
	called := func(want string) {
		t.Helper()
		got, err := f.Vehicle(ctx, v.ID)
		must(t, err)
		list, err := f.Vehicles(ctx, uuid.Nil, 9)
		must(t, err)
		if got.Name != want || list[0].Name != want {
			t.Errorf("%q, listed as %q, want %q", got.Name, list[0].Name, want)
		}
	}
	must(t, f.PutVehicle(ctx, v))
	called("TESLA Model 3")
	must(t, f.NameVehicle(ctx, v.Source, v.ID, "zoe"))
	called("zoe")
	must(t, f.NameVehicle(ctx, "another", v.ID, "not mine"))
	called("zoe")
	if _, err := f.RenameVehicle(ctx, v.ID, "the blue one"); err != nil {
		t.Fatal(err)
	}
	called("the blue one")
	v.Name = "zoe 2"
	must(t, f.PutVehicle(ctx, v))
	f.reopen()
	called("the blue one")
	got, err := f.RenameVehicle(ctx, v.ID, "")
	if err != nil || got.Name != "zoe 2" {
		t.Errorf("%q, %v", got.Name, err)
	}
	called("zoe 2")
	for _, bad := range []string{"a\nb", "a\x1b[31m", strings.Repeat("x", 65), " x", "-x", "a/b", "..", v.ID.String(), "\xff"} {
		_, err := f.RenameVehicle(ctx, v.ID, bad)
		if e := new(webhook.Invalid); !errors.As(err, &e) || e.Field != "name" || e.Allowed == "" || e.Why == "" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	called("zoe 2")
	if _, err := f.RenameVehicle(ctx, vid(9), "x"); !errors.Is(err, webhook.ErrNotFound) {
		t.Error(err)
	}
	f.sound()
}
