package vehicle

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Source obtains data for vehicles.
//
// Read is safe for concurrent use, honours ctx, and never wakes a vehicle. It
// returns one [Reading] per path asked for; paths not asked for stay zero. The
// error means the whole read failed (network, credentials, budget); it is a
// [*Fault] or wraps one where the source knows the reason. A fault may carry
// RetryAfter, which the caller never undercuts.
type Source interface {
	Read(ctx context.Context, ref Ref, paths Paths) (Snapshot, error)
}

// Pusher is a source that is told rather than asks. It keeps each vehicle's last
// reading in memory, and Read answers from there: at no cost, and within 10 s even
// while the first messages are still awaited. FetchedAt is when the far side last
// confirmed a value, which may be long before the read; of a replayed value without a
// time of its own it is when the source connected.
type Pusher interface {
	Source
	// Push listens until ctx ends. It calls hint with the id of a vehicle whose plug or
	// charging state changed and has settled; the vehicle is then read at once. hint
	// only says that reading is worth it: what counts is what Read returns. hint never
	// blocks, may be called from any goroutine, and does nothing for an id that plugbeat
	// does not know or once ctx has ended.
	//
	// Push is called once. When it returns before ctx ended, or panics, it is called
	// again after a pause, and its error is the source's trouble until then.
	Push(ctx context.Context, hint func(uuid.UUID)) error
}

// Lister is a source that knows its vehicles by itself. They are connected when the
// source is first opened; a vehicle that is disconnected later stays so.
type Lister interface {
	Source
	// List returns all of them. The caller sets Source and ConnectedAt.
	List(ctx context.Context) ([]Vehicle, error)
}

// Connector is a source whose vehicles belong to accounts at a vendor. The vehicles it
// returns have their Connection set; the caller sets Source and ConnectedAt.
type Connector interface {
	Source
	// AuthorizeURL is where an owner signs in. The vendor sends the browser back to the
	// redirect URI with the state and a code. q is what else the vendor takes.
	AuthorizeURL(state, redirectURI string, q url.Values) string
	// ConnectCode returns the vehicles that the vendor's code reaches. The code is good once.
	ConnectCode(ctx context.Context, code, redirectURI string) ([]Vehicle, error)
	// Connect returns the vehicles that an account's refresh token reaches.
	Connect(ctx context.Context, refreshToken string) ([]Vehicle, error)
	// Disconnect ends plugbeat's access to a vehicle at the vendor.
	Disconnect(ctx context.Context, v Vehicle) error
	// Forget erases what is kept of a connection that has no vehicle left.
	Forget(ctx context.Context, connection string) error
}

// Resumer is a source whose exchanges of tokens may have been cut off with the process.
type Resumer interface {
	Source
	// Resume ends those of the connections that were begun. It does not wait for them.
	Resume(connections []string)
}

// Closer is a source that has something to finish before the data file is closed. Close
// is called once, after the last Read has returned.
type Closer interface {
	Source
	Close()
}

// Metering is a source whose reads somebody counts. A source without it costs nothing,
// and nothing is said of costs.
type Metering interface {
	Source
	Allowance() Allowance
}

// Allowance is what reading may cost at a source. A call is one path of one vehicle that
// is asked for, alone or in a batch, as vendors count them.
type Allowance struct {
	// Metered is true where a vendor counts every call, so that costs are shown without
	// a budget, too.
	Metered bool
	Budget  Budget
	Bucket  Bucket
}

// Bucket is an allowance of calls that fills up again. Each path of a read is a call: no
// vendor says whether a batch counts as one, and who assumes fewer calls than there are
// is refused.
type Bucket struct {
	// Size is how many calls may be made at once; 0 is no bound.
	Size int
	// Refill is how long it takes to get one call back, above zero.
	Refill time.Duration
}

// Reporter is a source that knows by itself what is wrong with its far side.
type Reporter interface {
	Source
	// Problems lists what is wrong now; it costs nothing.
	Problems(now time.Time) []Problem
}

// Intake is a source that is sent documents, by POST /intake/NAME on http.api. Whoever sends
// them has shown a token that is good for this source alone.
type Intake interface {
	Pusher
	// Take takes one JSON document and says what it became. It does not block, and is safe
	// for concurrent use. The document is valid JSON of at most 64 KiB.
	Take(document []byte) []Verdict
}

// Problem is one thing that is wrong with a source's far side.
type Problem struct {
	// Code is of a closed set. Of the whole far side: login_refused, mqtt5_missing,
	// wrong_certificate, not_a_broker, subscription_denied, nothing_arrives, plain_password,
	// taken_over, no_document, unreachable. Of a vehicle that is not heard of: topic_silent,
	// publisher_silent, publisher_offline, value_stale. Of what a vehicle's map does not take:
	// word_unknown, value_out_of_range, value_wrong.
	Code string `json:"code"`
	// Vehicle is the native id of the one vehicle that it is about; empty for the whole far side.
	Vehicle string `json:"vehicle,omitempty"`
	// Text says what is wrong, and Remedy what to do.
	Text   string    `json:"text"`
	Remedy string    `json:"remedy"`
	Since  time.Time `json:"since"`
}

// The codes of problems of single vehicles.
const (
	ProblemTopicSilent = "topic_silent"
	ProblemSilent      = "publisher_silent"
	ProblemOffline     = "publisher_offline"
	ProblemStale       = "value_stale"
	ProblemWord        = "word_unknown"
	ProblemRange       = "value_out_of_range"
	ProblemValue       = "value_wrong"
)
