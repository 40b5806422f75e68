// Package admin serves /api/v1, the operator's API: what openapi.yaml describes, and the
// stream of events.
//
// It guarantees that every route, answer and error is one that openapi.yaml describes
// (tests hold the two to each other); that unknown parameters and fields are refused;
// that lists are paged; that no answer shows a token or a key but the one that was just
// made; and that nothing over HTTP widens what plugbeat sends requests to.
//
// Change here what operators may do: a handler, its line in [API.routes], its path in
// openapi.yaml. Bodies are adminapi's, tokens server/web's.
package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/scheduler/cadence"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Store is what is read of the data file, and the tokens, which nobody else makes or
// revokes. Unknown ids are [webhook.ErrNotFound].
type Store interface {
	web.Records
	web.Consents
	VehicleStatus(ctx context.Context, id uuid.UUID) (vehicle.Status, error)
	// History returns a vehicle's readings in short form, oldest first; a zero time is no bound.
	History(ctx context.Context, id uuid.UUID, from, before time.Time, limit int) ([]vehicle.Point, error)
	// RenameVehicle sets what the operator calls a vehicle; empty gives its own name back.
	RenameVehicle(ctx context.Context, id uuid.UUID, name string) (vehicle.Vehicle, error)
	// Census counts the vehicles and lists at most limit of those in trouble, the
	// worst first, without reading any.
	Census(limit int) (vehicle.Census, []uuid.UUID)

	Webhooks(ctx context.Context) ([]webhook.Webhook, error)
	// Due returns the schedules of a source that are due at the time, oldest first.
	Due(ctx context.Context, source string, at time.Time, limit int, skip func(webhook.SubscriptionKey) bool) (webhook.DuePage, error)

	Delivery(ctx context.Context, id uuid.UUID) (webhook.Delivery, error)
	Payload(ctx context.Context, id uuid.UUID) ([]byte, error)
	Attempts(ctx context.Context, id uuid.UUID) ([]webhook.Attempt, error)
	Deliveries(ctx context.Context, f webhook.DeliveryFilter, before uuid.UUID, limit int) ([]webhook.Delivery, error)

	Grants(ctx context.Context) ([]access.Grant, error)
	PutGrant(ctx context.Context, g access.Grant) error
	DeleteGrant(ctx context.Context, name string) error
	// ManagementTokenUse is when a caller used the management token with this
	// fingerprint; zero for never.
	ManagementTokenUse(ctx context.Context, fingerprint string) (time.Time, error)

	// Copy writes a consistent copy of the data file to path.
	Copy(ctx context.Context, path string) error
}

// Scheduler subscribes vehicles and reads them.
type Scheduler interface {
	web.Subscriber
	// ReadAnew asks the source whatever the last reading's age, or says in the snapshot's Held
	// why it did not. With clear the operator no longer keeps to a retry-after.
	ReadAnew(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths, clear bool) (vehicle.Snapshot, error)
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
	Verify(ctx context.Context, id uuid.UUID) (webhook.Webhook, webhook.Challenge, error)
	Test(ctx context.Context, id uuid.UUID) (webhook.Attempt, error)
	// TryTokens sends every webhook a challenge to learn which management token its
	// receiver has, and changes nothing else.
	TryTokens(ctx context.Context) (map[uuid.UUID]webhook.Challenge, error)
	// RotateKey gives a webhook a new signing key, beside the old one for the overlap.
	RotateKey(ctx context.Context, id uuid.UUID, overlap time.Duration) (webhook.Webhook, error)
	// TryKey sends a test payload signed with the new key alone; FinishKey does so too
	// unless forced, and ends the overlap when it is accepted. CancelKey takes the
	// rotation back. [webhook.ErrConflict] where that cannot be.
	TryKey(ctx context.Context, id uuid.UUID) (webhook.Webhook, webhook.Attempt, error)
	FinishKey(ctx context.Context, id uuid.UUID, force bool) (webhook.Webhook, *webhook.Attempt, error)
	CancelKey(ctx context.Context, id uuid.UUID) (webhook.Webhook, error)
	// Enable sends a challenge first unless forced; an empty policy is the webhook's.
	Enable(ctx context.Context, id uuid.UUID, force bool, policy webhook.Policy) (webhook.Webhook, adminapi.Challenge, error)
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
	Queues() map[uuid.UUID]webhook.Queue
}

// Fleet connects vehicles of the configured sources.
type Fleet interface {
	// Connect adds every vehicle that the account reaches. An unknown source is a
	// [*webhook.Invalid]; what the vendor refuses is a [*vehicle.Fault].
	Connect(ctx context.Context, source, refreshToken string) ([]vehicle.Vehicle, error)
	// Disconnect removes a vehicle with its subscriptions and erases its data.
	Disconnect(ctx context.Context, vehicleID uuid.UUID) (cancelled int, err error)
}

// Connects lets owners connect vehicles in a browser.
type Connects interface {
	Begin(source string) (adminapi.ConnectBegun, error)
	// Look returns how a connect stands and what is closed when it is over; false where
	// there is none.
	Look(id uuid.UUID) (adminapi.ConnectView, <-chan struct{}, bool)
	// Cancel reports false where there is none.
	Cancel(id uuid.UUID) bool
}

// Upkeep tells of the data file, the sources and the targets of alerts.
type Upkeep interface {
	Info(ctx context.Context) (adminapi.StoreInfo, error)
	// CheckFile looks for what is wrong in a data file that nobody has open.
	CheckFile(path string) ([]webhook.FileProblem, error)
	Sources() []adminapi.Source
	// Backups is nil when none are scheduled.
	Backups() *adminapi.Backups
	// Alerts tells how the targets of alerts fare, by name; TestAlerts sends a test to
	// one, or to all for an empty name. An unknown one is a [*webhook.Invalid].
	Alerts() []adminapi.AlertTarget
	TestAlerts(ctx context.Context, target string) ([]health.AlertTested, error)
}

// Sources shows what a configured source hears. ok is false where there is none of the name, or
// where it is not of a kind that can.
type Sources interface {
	// Kind is the type of a configured source, and what of the rest it can.
	Kind(name string) (kind adminapi.SourceKind, ok bool)
	Inspect(name string) (i vehicle.Inspection, ok bool)
	// Watch hands what is heard from now on to heard, which must not block, until stop is called.
	Watch(name string, heard func(vehicle.Heard)) (stop func(), ok bool)
	// Discover listens for so long and says what is there that could be mapped.
	Discover(ctx context.Context, name string, listen time.Duration) (d vehicle.Discovery, ok bool, err error)
}

// Health says what is wrong now.
type Health interface {
	Health(ctx context.Context) health.Report
}

// Clocks tells what others say of this machine's clock.
type Clocks interface {
	Look(now time.Time) adminapi.Clock
}

// Options are what the room is made of. All are needed but CheckDir and
// ManagementTokenNext.
type Options struct {
	Store      Store
	Scheduler  Scheduler
	Deliveries Deliveries
	Fleet      Fleet
	Connects   Connects
	Upkeep     Upkeep
	Sources    Sources
	Health     Health
	Clocks     Clocks
	Feed       *Feed
	Auth       *web.Auth
	Replies    *web.Replies
	// Intakes are the names of the sources that are sent documents.
	Intakes []string
	// Stopping reports whether the daemon waits for what is in flight, to end then.
	// Ending is closed when the servers begin to stop.
	Stopping func() bool
	Ending   <-chan struct{}
	// Policy checks cadences and knows how fast makes stand to be read.
	Policy cadence.Policy
	// Retries is how many retries a failing webhook has; 0 where it is not known.
	Retries int
	// Recover is the policy of webhooks that set none; empty for all.
	Recover webhook.Policy
	// Signing is what a new webhook has where its request names none.
	Signing webhook.Signing
	// ReadTime is how long a caller waits for a read.
	ReadTime time.Duration
	// CheckDir is where copies of the data file are checked, a directory that no
	// other daemon checks in; empty is the system's for temporary files.
	CheckDir  string
	Version   adminapi.Version
	StartedAt time.Time
}

// API serves /api/v1.
type API struct {
	replies *web.Replies
	table   []route
}

// New returns the room.
func New(o Options) *API { return &API{o.Replies, routes(&o)} }

// handler returns what is answered as JSON, with 201 when it is [created], with its ETag
// when it is [tagged], as it is when it is [verbatim], or a [sender].
type handler func(r *http.Request) (any, error)

type created struct{ body any }

type tagged struct {
	etag string
	body any
}

// sender is an answer that sends itself. An error of send means that nothing was sent.
type sender interface {
	send(w http.ResponseWriter, r *http.Request) error
}

type verbatim struct {
	contentType string
	body        []byte
}

// Routes adds the routes, with guarded around each of them, and the answer to paths that
// are none.
func (a *API) Routes(mux web.Mux, guarded func(web.Need, http.Handler) http.Handler) {
	for _, r := range a.table {
		mux.Handle(r.pattern, guarded(r.need, a.serve(func(req *http.Request) (any, error) {
			if err := checkQuery(req, r.query); err != nil {
				return nil, err
			}
			return r.handler(req)
		})))
	}
	mux.Handle("/", a.serve(func(r *http.Request) (any, error) {
		return nil, &adminapi.Error{Code: adminapi.CodeNotFound, Message: "no route " + r.Method + " " + web.Clip(r.URL.Path),
			Hint: "docs/api.md lists the routes"}
	}))
}

func (a *API) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := h(r)
		if err == nil {
			status := http.StatusOK
			if c, ok := v.(created); ok {
				v, status = c.body, http.StatusCreated
			}
			if t, ok := v.(tagged); ok {
				v = t.body
				w.Header()["etag"] = []string{t.etag}
			}
			switch v := v.(type) {
			case verbatim:
				web.Write(w, status, map[string]string{"content-type": v.contentType}, v.body)
			case sender:
				err = v.send(w, r)
			default:
				err = web.WriteJSON(w, status, v)
			}
		}
		if err != nil {
			a.replies.APIError(w, r, err)
		}
	})
}
