package server

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Store is what the server reads of the data file, and the access tokens, which
// nobody else changes. Unknown ids are [webhook.ErrNotFound].
type Store interface {
	GrantByHash(ctx context.Context, hash [32]byte) (access.Grant, error)
	Grants(ctx context.Context) ([]access.Grant, error)
	PutGrant(ctx context.Context, g access.Grant) error
	DeleteGrant(ctx context.Context, name string) error
	// UseGrant notes when the token with this hash was used.
	UseGrant(ctx context.Context, hash [32]byte, at time.Time) error
	// UseManagementToken notes when a caller used the management token with this
	// fingerprint; ManagementTokenUse is zero for never.
	UseManagementToken(ctx context.Context, fingerprint string, at time.Time) error
	ManagementTokenUse(ctx context.Context, fingerprint string) (time.Time, error)

	// ConsentByHash and ChangeConsent find a consent by its code or one of its tokens.
	// A change that returns an error changes nothing; a consent that it leaves without
	// code and tokens is gone.
	PutConsent(ctx context.Context, c access.Consent) error
	ConsentByHash(ctx context.Context, h access.TokenHash) (access.Consent, error)
	Consents(ctx context.Context, after uuid.UUID, limit int) ([]access.Consent, error)
	DeleteConsent(ctx context.Context, id uuid.UUID) error
	ChangeConsent(ctx context.Context, h access.TokenHash, change func(*access.Consent) error) error

	Vehicle(ctx context.Context, id uuid.UUID) (vehicle.Vehicle, error)
	Vehicles(ctx context.Context, after uuid.UUID, limit int) ([]vehicle.Vehicle, error)
	VehicleStatus(ctx context.Context, id uuid.UUID) (vehicle.Status, error)
	// Census counts the vehicles and lists at most limit of those in trouble, the
	// worst first, without reading any.
	Census(limit int) (vehicle.Census, []uuid.UUID)

	Webhook(ctx context.Context, id uuid.UUID) (webhook.Webhook, error)
	Webhooks(ctx context.Context) ([]webhook.Webhook, error)
	Subscriptions(ctx context.Context, webhookID, vehicleID uuid.UUID, after webhook.SubscriptionKey, limit int) ([]webhook.ScheduleView, error)
	// Due returns the slots of a source that are due at the time, oldest first.
	Due(ctx context.Context, source string, at time.Time, limit int, skip func(webhook.SubscriptionKey) bool) (webhook.DuePage, error)

	Delivery(ctx context.Context, id uuid.UUID) (webhook.Delivery, error)
	Payload(ctx context.Context, id uuid.UUID) ([]byte, error)
	Attempts(ctx context.Context, id uuid.UUID) ([]webhook.Attempt, error)
	Deliveries(ctx context.Context, f webhook.DeliveryFilter, before uuid.UUID, limit int) ([]webhook.Delivery, error)

	// Copy writes a consistent copy of the data file to path.
	Copy(ctx context.Context, path string) error
}

// Scheduler subscribes vehicles and reads them.
type Scheduler interface {
	// Subscribe is idempotent: an existing subscription comes back with created
	// false and its schedule as it was. A zero anchor is now.
	Subscribe(ctx context.Context, webhookID, vehicleID uuid.UUID, anchor time.Time) (sub webhook.Subscription, created bool, err error)
	Unsubscribe(ctx context.Context, webhookID, vehicleID uuid.UUID) (removed bool, err error)
	// ReadNow reads a car within the same limits as the scheduler's own reads.
	// The faults of paths are in the snapshot.
	ReadNow(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths) (vehicle.Snapshot, error)
	// ReadAnew asks the source whatever the last reading's age, or says in the snapshot's Held
	// why it did not. With clear the operator no longer keeps to a retry-after.
	ReadAnew(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths, clear bool) (vehicle.Snapshot, error)
	// ReadDetail reads an endpoint that no delivery carries, within the same limits; a
	// source that has none is a [*vehicle.Fault].
	ReadDetail(ctx context.Context, vehicleID uuid.UUID, e vehicle.Detail) (vehicle.DetailReading, error)
}

// Deliveries keeps webhooks and gets payloads to them.
type Deliveries interface {
	// Add validates a webhook and adds it, unverified, with an id and a key
	// where it has none.
	Add(ctx context.Context, w webhook.Webhook) (webhook.Webhook, error)
	// Change changes a webhook unless a check refuses it as it stands then.
	Change(ctx context.Context, id uuid.UUID, change adminapi.WebhookChange, checks ...webhook.Check) (webhook.Webhook, error)
	// Verify sends a challenge. A wrong answer is [webhook.ErrChallenge] and the
	// challenge says what came.
	Verify(ctx context.Context, id uuid.UUID) (webhook.Webhook, adminapi.Challenge, error)
	Test(ctx context.Context, id uuid.UUID) (webhook.Attempt, error)
	// TryTokens sends every webhook a challenge to learn which management token its
	// receiver has, and changes nothing else.
	TryTokens(ctx context.Context) (map[uuid.UUID]adminapi.Challenge, error)
	// RotateKey gives a webhook a new signing key, beside the old one for the overlap.
	RotateKey(ctx context.Context, id uuid.UUID, overlap time.Duration) (webhook.Webhook, error)
	// TryKey sends a test payload signed with the new key alone; FinishKey does so too
	// unless forced, and ends the overlap when it is accepted. CancelKey takes the
	// rotation back. [webhook.ErrConflict] where that cannot be.
	TryKey(ctx context.Context, id uuid.UUID) (webhook.Webhook, webhook.Attempt, error)
	FinishKey(ctx context.Context, id uuid.UUID, force bool) (webhook.Webhook, *webhook.Attempt, error)
	CancelKey(ctx context.Context, id uuid.UUID) (webhook.Webhook, error)
	// Enable sends a challenge first unless forced; an empty policy is the webhook's.
	Enable(ctx context.Context, id uuid.UUID, force bool, policy webhook.Policy) (webhook.Webhook, error)
	// Recover begins to apply a policy to what waits.
	Recover(ctx context.Context, id uuid.UUID, policy webhook.Policy) (webhook.Webhook, error)
	Disable(ctx context.Context, id uuid.UUID) (webhook.Webhook, error)
	// Remove removes a webhook unless a check refuses it as it stands then.
	Remove(ctx context.Context, id uuid.UUID, checks ...webhook.Check) (cancelled int, err error)
	// Resend makes a new delivery of a finished one; [webhook.ErrConflict] where
	// that cannot be.
	Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error)
	// ResendAll resends the finished deliveries of a filter that were not resent before,
	// and returns how many it made, also with an error. PlanResend only counts.
	ResendAll(ctx context.Context, f webhook.DeliveryFilter) (plan webhook.ResendPlan, made int, err error)
	PlanResend(ctx context.Context, f webhook.DeliveryFilter) (webhook.ResendPlan, error)
	// Queues returns the queues as they stand, by webhook.
	Queues() map[uuid.UUID]adminapi.Queue
}

// Fleet connects vehicles of the configured sources.
type Fleet interface {
	// Connect adds every vehicle that the account reaches. An unknown source is a
	// [*webhook.Invalid]; what the vendor refuses is a [*vehicle.Fault].
	Connect(ctx context.Context, source, refreshToken string) ([]vehicle.Vehicle, error)
	// Doors lists how owners come in, by the name of the source.
	Doors() []Door
	// SignInURL is where the owner signs in at a source whose door has SignIn: the
	// vendor sends the browser back to the callback with the state. q is added to it.
	SignInURL(source, callback, state string, q url.Values) (string, error)
	// SignedIn redeems the code that the vendor sent back, and connects.
	SignedIn(ctx context.Context, source, code, callback string) ([]vehicle.Vehicle, error)
	// Offered lists the vehicles of a source without accounts, and ConnectOffered
	// connects those of them with the ids.
	Offered(ctx context.Context, source string) ([]vehicle.Vehicle, error)
	ConnectOffered(ctx context.Context, source string, ids []uuid.UUID) ([]vehicle.Vehicle, error)
	// Disconnect removes a vehicle with its subscriptions and erases its data.
	Disconnect(ctx context.Context, vehicleID uuid.UUID) (cancelled int, err error)
}

// Door is how the owners of vehicles come in at a source.
type Door struct {
	Source string
	// SignIn is true where an owner has an account at the vendor and signs in there;
	// else a one-time code of the operator's lets him in here.
	SignIn bool
}

// Upkeep tells of the data file and the sources.
type Upkeep interface {
	Info(ctx context.Context) (adminapi.StoreInfo, error)
	// CheckFile looks for what is wrong in a data file that nobody has open.
	CheckFile(path string) ([]adminapi.Problem, error)
	Sources() []adminapi.Source
	// Backups is nil when none are scheduled.
	Backups() *adminapi.Backups
	// Alerts tells how the targets of alerts fare, by name; TestAlerts sends a test to
	// one, or to all for an empty name. An unknown one is a [*webhook.Invalid].
	Alerts() []adminapi.AlertTarget
	TestAlerts(ctx context.Context, target string) ([]adminapi.AlertTested, error)
}

// Health says what is wrong now.
type Health interface {
	Health(ctx context.Context) health.Report
	// Unready says what keeps the daemon from being ready. It costs less.
	Unready(ctx context.Context) []health.Condition
}
