package app

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// subscribed adds a webhook and puts the vehicle on it, without a receiver.
func (d *daemon) subscribed(id uuid.UUID) {
	d.t.Helper()
	_, err := d.client.AddWebhook(d.t.Context(), adminapi.NewWebhook{Name: "hook", CallbackURI: "https://receiver.example.com/"})
	must(d.t, err)
	_, err = d.client.Subscribe(d.t.Context(), adminapi.Subscribe{Webhook: "hook", Vehicles: []string{id.String()}})
	must(d.t, err)
}

// What an operator disconnected does not come back with a restart; connecting it
// again brings it back.
func TestDisconnectedSimulatorStaysSo(t *testing.T) {
	cfg := configured(t, shortDir(t), simulatorSource)
	d := start(t, cfg)
	for _, id := range d.ids() {
		_, err := d.client.DisconnectVehicle(t.Context(), id.String())
		must(t, err)
	}
	d.stop()
	d = start(t, cfg)
	if ids := d.ids(); len(ids) != 0 {
		t.Errorf("%d vehicles are back", len(ids))
	}
	if c, err := d.client.ConnectVehicles(t.Context(), "sim", ""); err != nil || len(c.Vehicles) != 2 || len(d.ids()) != 2 {
		t.Error(c, err)
	}
}

func TestConnectAgainKeepsWhatIsKnown(t *testing.T) {
	d := start(t, configured(t, shortDir(t), simulatorSource))
	id := d.ids()[0]
	d.subscribed(id)
	_, err := d.client.ReadVehicle(t.Context(), id.String(), vehicle.AllPaths)
	must(t, err)
	before, err := d.client.Vehicle(t.Context(), id.String())
	must(t, err)
	c, err := d.client.ConnectVehicles(t.Context(), "sim", "")
	must(t, err)
	after, err := d.client.Vehicle(t.Context(), id.String())
	must(t, err)
	i := slices.IndexFunc(c.Vehicles, func(v vehicle.Vehicle) bool { return v.ID == id })
	if i < 0 || !c.Vehicles[i].ConnectedAt.Equal(before.Vehicle.ConnectedAt) || !after.Vehicle.ConnectedAt.Equal(before.Vehicle.ConnectedAt) {
		t.Errorf("connected at %v, then told %+v and kept %v", before.Vehicle.ConnectedAt, c.Vehicles, after.Vehicle.ConnectedAt)
	}
	if after.Status.Reads != 1 || len(after.Subscriptions) != 1 {
		t.Errorf("%+v", after)
	}
}

// A source that is taken out of the config shows in the status, its vehicles can
// be disconnected with their tokens, and one of another name can take them over.
func TestSourceTakenOutOfTheConfig(t *testing.T) {
	dir := shortDir(t)
	d := start(t, configured(t, dir, simulatorSource))
	ids := d.ids()
	d.subscribed(ids[0])
	must(t, tokens{d.store, "old"}.Save(t.Context(), "owner", []byte("secret")))
	lost := vehicle.Vehicle{ID: uuid.New(), Source: "old", Connection: "owner"}
	must(t, d.store.Vehicles.PutVehicle(t.Context(), lost))
	d.stop()

	d = start(t, configured(t, dir, ""))
	st, err := d.client.Status(t.Context())
	must(t, err)
	for _, want := range []string{"source old", "source sim", "not in the config"} {
		if !strings.Contains(wrong(st), want) {
			t.Errorf("the status does not tell of %q: %s", want, wrong(st))
		}
	}
	_, err = d.client.DisconnectVehicle(t.Context(), lost.ID.String())
	must(t, err)
	if names, err := d.store.Secrets.SecretNames(t.Context(), "source/old/"); err != nil || len(names) > 0 {
		t.Errorf("tokens are left: %v %v", names, err)
	}
	d.stop()

	d = start(t, configured(t, dir, strings.Replace(simulatorSource, "sim:", "renamed:", 1)))
	v, err := d.client.Vehicle(t.Context(), ids[0].String())
	must(t, err)
	if v.Vehicle.Source != "renamed" || len(v.Subscriptions) != 1 || len(d.ids()) != 2 {
		t.Errorf("%+v", v)
	}
	d.stop()

	// Two sources of the same vehicles: the second has none, and the daemon starts.
	start(t, configured(t, dir, strings.Replace(simulatorSource, "sim:", "renamed:", 1)+strings.Replace(simulatorSource, "sim:", "twin:", 1)))
}

// The last vehicle of a connection takes its tokens along, and not one before.
func TestDisconnectErasesTokens(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	c, err := d.client.ConnectVehicles(t.Context(), "smartcar", d.upstream.RefreshToken())
	must(t, err)
	for i, v := range c.Vehicles {
		if names, err := d.app.store.Secrets.SecretNames(t.Context(), "source/smartcar/"); err != nil || len(names) != 1 {
			t.Fatalf("before the %d. is disconnected: %v %v", i+1, names, err)
		}
		_, err := d.client.DisconnectVehicle(t.Context(), v.ID.String())
		must(t, err)
	}
	if names, err := d.app.store.Secrets.SecretNames(t.Context(), "source/smartcar/"); err != nil || len(names) != 0 {
		t.Fatal(names, err)
	}
}

// A vendor that does not answer, and a caller who does not wait for it, do not
// keep a vehicle from being erased.
func TestDisconnectWithoutTheVendor(t *testing.T) {
	d := start(t, configured(t, shortDir(t), simulatorSource), as("sim", vendor{discard: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}))
	id := d.ids()[0]
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.fleet.Disconnect(ctx, id); err != nil {
		t.Error(err)
	}
	if slices.Contains(d.ids(), id) {
		t.Error("the vehicle is still there")
	}
	if !strings.Contains(d.log.String(), "source.disconnect_failed") {
		t.Error("nobody is told of the vendor")
	}
}

// A connection that comes in while its last vehicle goes waits until that is over.
func TestConnectAndDisconnectDoNotOverlap(t *testing.T) {
	held := make(chan struct{})
	d := start(t, configured(t, shortDir(t), simulatorSource), func(a *App) {
		a.sources.byName["sim"] = vendor{list: a.sources.byName["sim"].(vehicle.Lister).List, discard: func(context.Context) error { held <- struct{}{}; <-held; return nil }}
	})
	gone := make(chan error, 1)
	go func() {
		_, err := d.fleet.Disconnect(t.Context(), d.ids()[0])
		gone <- err
	}()
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.fleet.Connect(ctx, "sim", "token"); err == nil {
		t.Error("it did not wait")
	}
	held <- struct{}{}
	must(t, <-gone)
	if vs, err := d.fleet.Connect(t.Context(), "sim", "token"); err != nil || len(vs) != 2 {
		t.Error(vs, err)
	}
}

func TestConnectRefuses(t *testing.T) {
	d := start(t, configured(t, shortDir(t), simulatorSource), func(a *App) { a.sources.byName["twin"] = a.sources.byName["sim"] })
	_, err := d.client.ConnectVehicles(t.Context(), "nobody", "")
	wantError(t, err, "nobody", "sim")
	must(t, d.store.Vehicles.PutVehicle(t.Context(), vehicle.Vehicle{ID: d.ids()[1], Source: "sim"}))
	_, err = d.fleet.Connect(t.Context(), "twin", "")
	wantError(t, err, webhook.ErrConflict.Error(), "sim")
	for v, err := range vehicles(t.Context(), d.store) {
		if err != nil || v.Source != "sim" {
			t.Error(v, err)
		}
	}
}

// A consent that is revoked ends, in the data file, what the application made by it.
func TestRevokedConsentEndsWhatItMade(t *testing.T) {
	d := start(t, configured(t, shortDir(t), simulatorSource))
	id := d.ids()[0]
	d.subscribed(id)
	hook, err := d.client.Webhook(t.Context(), "hook")
	must(t, err)
	c := access.Consent{ID: uuid.New(), User: uuid.New(), Source: "sim", Vehicles: []uuid.UUID{id}, CreatedAt: time.Now().UTC(),
		Tokens: []access.ConsentToken{{Hash: access.BearerHash("token"), Kind: access.AccessKind, ExpiresAt: time.Now().Add(time.Hour)}}}
	c.Note(access.Made{Webhook: hook.ID, Vehicle: id})
	must(t, d.store.Access.PutConsent(t.Context(), c))
	must(t, d.client.RemoveToken(t.Context(), c.ID.String()))
	if v, err := d.client.Vehicle(t.Context(), id.String()); err != nil || len(v.Subscriptions) != 0 {
		t.Errorf("%d subscriptions are left, %v", len(v.Subscriptions), err)
	}
	if left, err := d.store.Access.Consents(t.Context(), uuid.Nil, 10); err != nil || len(left) != 0 {
		t.Errorf("%d consents are left, %v", len(left), err)
	}
}
