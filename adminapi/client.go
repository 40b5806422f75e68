package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// How long a call waits for the daemon's answer. Those that wait for a vendor, a
// receiver or a disk take longer than the daemon gives these.
const (
	patience      = 15 * time.Second
	slowPatience  = time.Minute // many commits, or a vendor's confirmation
	challengeTime = 40 * time.Second
	readTime      = 330 * time.Second
	checkTime     = 10 * time.Minute
	resendTime    = 5 * time.Minute // a commit for each few hundred deliveries
)

// maxAnswer bounds what a client reads of one answer.
const maxAnswer = 64 << 20

// Client speaks /api/v1 to a daemon over its unix socket. It is safe for
// concurrent use. Every method returns an [*Error] when the daemon refused, an
// error that is [ErrNoDaemon] when none is there, one that is [ErrNoAnswer] when it
// took the call and did not answer in time, and ctx's error when it ended.
type Client struct {
	socket  string
	http    *http.Client
	wait    time.Duration
	ifMatch string
}

// within returns the client with another time to wait for an answer.
func (c *Client) within(d time.Duration) *Client {
	other := *c
	other.wait = d
	return &other
}

// IfMatch returns the client with the ETag that a webhook had when it was looked
// at: its changes and removals of the webhook are [CodeChanged] when somebody
// changed the settings since.
func (c *Client) IfMatch(etag string) *Client {
	other := *c
	other.ifMatch = etag
	return &other
}

// Dial returns a client of the daemon that listens at the socket. It connects
// with the first call, not before.
func Dial(socket string) *Client {
	d := net.Dialer{Timeout: 5 * time.Second}
	return &Client{socket: socket, wait: patience, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns:    2,
		IdleConnTimeout: time.Minute,
	}}}
}

// Socket returns the path given to [Dial].
func (c *Client) Socket() string { return c.socket }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Version returns what the daemon runs.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.do(ctx, http.MethodGet, c.path("version"), nil, nil, &v)
}

// Status returns the whole daemon at a glance.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, c.path("status"), nil, nil, &s)
}

// Cost tells what a webhook of this type, cadence and content costs at the sources that
// count calls; what it leaves empty is the daemon's default.
func (c *Client) Cost(ctx context.Context, n NewWebhook) (costs Costs, err error) {
	q := url.Values{}
	for name, v := range map[string]string{
		"type": string(n.Type), "every": n.Cadence.Every, "unplugged": n.Cadence.Unplugged, "plugged_in": n.Cadence.PluggedIn, "zone": n.Cadence.Zone,
		"paths": strings.Join(n.Content.Paths, ","),
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if n.Cadence.Fastest {
		q.Set("fastest", "true")
	}
	return costs, c.do(ctx, http.MethodGet, c.path("cost"), q, nil, &costs)
}

// Webhooks returns one page of the webhooks, by id. After is the Next of the page
// before, or empty; limit 0 is [DefaultLimit].
func (c *Client) Webhooks(ctx context.Context, after string, limit int) (p Page[WebhookView], err error) {
	return p, c.do(ctx, http.MethodGet, c.path("webhooks"), paging("after", after, limit), nil, &p)
}

// Webhook returns a webhook by id or name.
func (c *Client) Webhook(ctx context.Context, ref string) (w WebhookView, err error) {
	return w, c.do(ctx, http.MethodGet, c.path("webhooks", ref), nil, nil, &w)
}

// AddWebhook adds a webhook, unverified.
func (c *Client) AddWebhook(ctx context.Context, n NewWebhook) (a WebhookAdded, err error) {
	return a, c.do(ctx, http.MethodPost, c.path("webhooks"), nil, n, &a)
}

// ChangeWebhook changes a webhook; a new callback URI needs verifying again.
func (c *Client) ChangeWebhook(ctx context.Context, ref string, ch WebhookChange) (a WebhookChanged, err error) {
	return a, c.do(ctx, http.MethodPatch, c.path("webhooks", ref), nil, ch, &a)
}

// RemoveWebhook removes a webhook, its subscriptions and what waits.
func (c *Client) RemoveWebhook(ctx context.Context, ref string) (a Cancelled, err error) {
	return a, c.within(slowPatience).do(ctx, http.MethodDelete, c.path("webhooks", ref), nil, nil, &a)
}

// VerifyWebhook sends a challenge; a wrong answer is [CodeChallengeFailed].
func (c *Client) VerifyWebhook(ctx context.Context, ref string) (a Verified, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "verify"), nil, nil, &a)
}

// TestWebhook sends a test payload and returns what came of it.
func (c *Client) TestWebhook(ctx context.Context, ref string) (a webhook.Attempt, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "test"), nil, nil, &a)
}

// ManagementToken says which management tokens there are, and who has which.
func (c *Client) ManagementToken(ctx context.Context) (m ManagementToken, err error) {
	return m, c.do(ctx, http.MethodGet, c.path("management-token"), nil, nil, &m)
}

// TryManagementToken sends every webhook a challenge first.
func (c *Client) TryManagementToken(ctx context.Context) (m ManagementToken, err error) {
	return m, c.within(slowPatience).do(ctx, http.MethodPost, c.path("management-token", "try"), nil, nil, &m)
}

// ChangeKey makes one step of the rotation of a webhook's signing key.
func (c *Client) ChangeKey(ctx context.Context, ref string, k KeyChange) (a KeyChanged, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "key"), nil, k, &a)
}

// EnableWebhook enables a disabled webhook, after a right answer to a challenge
// unless forced. An empty policy is the webhook's own.
func (c *Client) EnableWebhook(ctx context.Context, ref string, force bool, policy webhook.Policy) (w webhook.Webhook, err error) {
	q := url.Values{}
	if force {
		q.Set("force", "true")
	}
	if policy != "" {
		q.Set("recover", string(policy))
	}
	return w, c.within(challengeTime).do(ctx, http.MethodPost, c.path("webhooks", ref, "enable"), q, nil, &w)
}

// RecoverWebhook applies a policy to what waits at a webhook; an empty one is the
// webhook's own.
func (c *Client) RecoverWebhook(ctx context.Context, ref string, policy webhook.Policy) (w webhook.Webhook, err error) {
	return w, c.within(slowPatience).do(ctx, http.MethodPost, c.path("webhooks", ref, "recover"), nil, Recover{Policy: policy}, &w)
}

// DisableWebhook stops a webhook's due times and deliveries until it is enabled.
func (c *Client) DisableWebhook(ctx context.Context, ref string) (w webhook.Webhook, err error) {
	return w, c.do(ctx, http.MethodPost, c.path("webhooks", ref, "disable"), nil, nil, &w)
}

// Vehicles returns one page of the vehicles, by id.
func (c *Client) Vehicles(ctx context.Context, after string, limit int) (p Page[VehicleView], err error) {
	return p, c.do(ctx, http.MethodGet, c.path("vehicles"), paging("after", after, limit), nil, &p)
}

// Vehicle returns a vehicle with its subscriptions.
func (c *Client) Vehicle(ctx context.Context, id uuid.UUID) (v VehicleView, err error) {
	return v, c.do(ctx, http.MethodGet, c.path("vehicles", id.String()), nil, nil, &v)
}

// ReadVehicle reads the vehicle now, all paths for none; faults of single paths are in the snapshot.
func (c *Client) ReadVehicle(ctx context.Context, id uuid.UUID, paths vehicle.Paths) (s vehicle.Snapshot, err error) {
	return c.readVehicle(ctx, id, paths, url.Values{})
}

// ReadVehicleRegardless is ReadVehicle although the source asked for a wait, which is over then.
func (c *Client) ReadVehicleRegardless(ctx context.Context, id uuid.UUID, paths vehicle.Paths) (s vehicle.Snapshot, err error) {
	return c.readVehicle(ctx, id, paths, url.Values{"ignore_retry_after": {"true"}})
}

func (c *Client) readVehicle(ctx context.Context, id uuid.UUID, paths vehicle.Paths, q url.Values) (s vehicle.Snapshot, err error) {
	var names []string
	for p := range paths.All() {
		names = append(names, strings.TrimPrefix(p.String(), "/"))
	}
	if len(names) > 0 {
		q.Set("paths", strings.Join(names, ","))
	}
	return s, c.within(readTime).do(ctx, http.MethodPost, c.path("vehicles", id.String(), "read"), q, nil, &s)
}

// ConnectVehicles adds the vehicles of an account at a source.
func (c *Client) ConnectVehicles(ctx context.Context, source, refreshToken string) (a Connected, err error) {
	return a, c.within(readTime).do(ctx, http.MethodPost, c.path("vehicles", "connect"), nil, Connect{Source: source, RefreshToken: refreshToken}, &a)
}

// BeginConnect lets an owner connect vehicles in a browser.
func (c *Client) BeginConnect(ctx context.Context, source string) (a ConnectBegun, err error) {
	return a, c.do(ctx, http.MethodPost, c.path("connects"), nil, NewConnect{Source: source}, &a)
}

// Connect returns how a connect stands, once it is over or after the wait, which is
// at most [MaxWait].
func (c *Client) Connect(ctx context.Context, id uuid.UUID, wait time.Duration) (v ConnectView, err error) {
	q := url.Values{}
	if wait > 0 {
		q.Set("wait", wait.String())
	}
	return v, c.within(patience+wait).do(ctx, http.MethodGet, c.path("connects", id.String()), q, nil, &v)
}

// EndConnect ends a connect that nobody waits for any more.
func (c *Client) EndConnect(ctx context.Context, id uuid.UUID) error {
	return c.do(ctx, http.MethodDelete, c.path("connects", id.String()), nil, nil, &struct{}{})
}

// DisconnectVehicle removes a vehicle, its subscriptions and its data.
func (c *Client) DisconnectVehicle(ctx context.Context, id uuid.UUID) (a Cancelled, err error) {
	return a, c.within(slowPatience).do(ctx, http.MethodDelete, c.path("vehicles", id.String()), nil, nil, &a)
}

// Subscriptions returns one page of the subscriptions of a webhook (id or name,
// empty for all) and a vehicle (uuid.Nil for all).
func (c *Client) Subscriptions(ctx context.Context, webhookRef string, vehicleID uuid.UUID, after string, limit int) (p Page[SubscriptionView], err error) {
	q := paging("after", after, limit)
	if webhookRef != "" {
		q.Set("webhook", webhookRef)
	}
	if vehicleID != uuid.Nil {
		q.Set("vehicle", vehicleID.String())
	}
	return p, c.do(ctx, http.MethodGet, c.path("subscriptions"), q, nil, &p)
}

// Subscribe puts vehicles on a webhook.
func (c *Client) Subscribe(ctx context.Context, s Subscribe) (a Subscribed, err error) {
	return a, c.within(slowPatience).do(ctx, http.MethodPost, c.path("subscriptions"), nil, s, &a)
}

// Unsubscribe takes a vehicle off a webhook; what was produced still leaves.
func (c *Client) Unsubscribe(ctx context.Context, webhookRef string, vehicleID uuid.UUID) (a Unsubscribed, err error) {
	return a, c.do(ctx, http.MethodDelete, c.path("subscriptions", webhookRef, vehicleID.String()), nil, nil, &a)
}

// Deliveries returns one page of deliveries, newest first.
func (c *Client) Deliveries(ctx context.Context, f DeliveryQuery) (p Page[webhook.Delivery], err error) {
	q := paging("before", f.Before, f.Limit)
	if f.Webhook != "" {
		q.Set("webhook", f.Webhook)
	}
	for name, v := range map[string]string{"vehicle": idText(f.Vehicle), "state": string(f.State), "since": timeText(f.Since), "until": timeText(f.Until)} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return p, c.do(ctx, http.MethodGet, c.path("deliveries"), q, nil, &p)
}

// Delivery returns a delivery with its attempts and payload.
func (c *Client) Delivery(ctx context.Context, id uuid.UUID) (d DeliveryView, err error) {
	return d, c.do(ctx, http.MethodGet, c.path("deliveries", id.String()), nil, nil, &d)
}

// ResendAll resends a part of a webhook's past, or counts what that would be.
func (c *Client) ResendAll(ctx context.Context, r ResendRequest) (a Resent, err error) {
	return a, c.within(resendTime).do(ctx, http.MethodPost, c.path("deliveries", "resend"), nil, r, &a)
}

func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Resend sends a finished delivery once more and returns the new one.
func (c *Client) Resend(ctx context.Context, id uuid.UUID) (d DeliveryView, err error) {
	return d, c.do(ctx, http.MethodPost, c.path("deliveries", id.String(), "resend"), nil, nil, &d)
}

// Tokens returns one page of the tokens, by name.
func (c *Client) Tokens(ctx context.Context, after string, limit int) (p Page[TokenView], err error) {
	return p, c.do(ctx, http.MethodGet, c.path("tokens"), paging("after", after, limit), nil, &p)
}

// AddToken makes a token: an application's, for /v2.0, or an operator's.
func (c *Client) AddToken(ctx context.Context, n NewToken) (a TokenAdded, err error) {
	return a, c.do(ctx, http.MethodPost, c.path("tokens"), nil, n, &a)
}

// RemoveToken revokes a token.
func (c *Client) RemoveToken(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, c.path("tokens", name), nil, nil, nil)
}

// Check has the daemon check a copy of its data file.
func (c *Client) Check(ctx context.Context) (a Checked, err error) {
	return a, c.within(checkTime).do(ctx, http.MethodPost, c.path("check"), nil, nil, &a)
}

// Backup writes a checked copy of the daemon's data file to w and returns its size
// in bytes. After an error w has a part of it, or nothing. The sealing key is not
// in it.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(checkTime, func() { cancel(ErrNoAnswer) })
	defer patience.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://plugbeat"+c.path("backup"), nil)
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, c.unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= 300 {
		b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return 0, c.unreachable(ctx, err)
		}
		return 0, c.refused(res.StatusCode, b)
	}
	if res.ContentLength < 0 {
		return 0, c.stranger("a backup without its length")
	}
	var n int64
	to := &keeper{w: w}
	for err == nil {
		patience.Reset(checkTime)
		var m int64
		m, err = io.CopyN(to, res.Body, 1<<20)
		n += m
	}
	switch {
	case to.err != nil:
		return n, to.err
	case !errors.Is(err, io.EOF): // also one that is shorter than its length
		return n, c.unreachable(ctx, err)
	}
	return n, nil
}

// keeper is a writer that remembers its error, so that it is told from a reader's.
type keeper struct {
	w   io.Writer
	err error
}

func (k *keeper) Write(b []byte) (int, error) {
	n, err := k.w.Write(b)
	k.err = err
	return n, err
}

// All walks every page of a list. It stops at the first error, which it yields
// with a zero item:
//
//	for v, err := range api.All(func(after string) (api.Page[api.VehicleView], error) {
//		return c.Vehicles(ctx, after, 0)
//	}) { ... }
func All[T any](page func(after string) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var after string
		for {
			p, err := page(after)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if p.Next == "" || p.Next == after {
				return
			}
			after = p.Next
		}
	}
}

// path joins escaped segments; it is empty when one of them cannot be a segment.
func (c *Client) path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/api/v1")
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return ""
		}
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

func paging(cursor, value string, limit int) url.Values {
	q := url.Values{}
	if value != "" {
		q.Set(cursor, value)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, in, out any) error {
	if path == "" {
		return &webhook.Invalid{Field: "name", Allowed: "an id or a name"}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.wait, ErrNoAnswer)
	defer cancel()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://plugbeat"+path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.ifMatch != "" {
		req.Header.Set("If-Match", c.ifMatch)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if res.StatusCode >= 300 {
		return c.refused(res.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return c.stranger("an answer that is not what /api/v1 says: " + err.Error())
	}
	return nil
}

// refused is the error that the daemon answered with.
func (c *Client) refused(status int, body []byte) error {
	var e Envelope
	if json.Unmarshal(body, &e) != nil || e.Error == nil || e.Error.Code == "" {
		return c.stranger(fmt.Sprintf("status %d without an error of /api/v1", status))
	}
	e.Error.Status = status
	return e.Error
}

// unreachable says why no answer came, and what to do.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	causes := []error{err}
	text := fmt.Sprintf("daemon at %s: %v: it may be stopping; look at its log", c.socket, err)
	switch {
	case errors.Is(context.Cause(ctx), ErrNoAnswer):
		causes = []error{ErrNoAnswer, ctx.Err()}
		text = fmt.Sprintf("the daemon at %s %v; look at its log, or restart it", c.socket, ErrNoAnswer)
	case ctx.Err() != nil:
		causes = []error{ctx.Err()}
		text = fmt.Sprintf("daemon at %s: %v", c.socket, ctx.Err())
	case errors.Is(err, fs.ErrPermission):
		text = fmt.Sprintf("socket %s: permission denied: run as root, or join its group (`sudo usermod -aG plugbeat $USER`, then log in again)", c.socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		causes = append(causes, ErrNoDaemon)
		text = fmt.Sprintf("%v at %s: start it with `plugbeat serve --config FILE`, or name its socket with --socket", ErrNoDaemon, c.socket)
	case errors.Is(err, syscall.EINVAL):
		text = fmt.Sprintf("socket %s: a socket's path has at most 107 bytes, this one has %d: choose a shorter `socket` in the config", c.socket, len(c.socket))
	}
	return &unreachable{text: text, causes: causes}
}

func (c *Client) stranger(what string) error {
	return fmt.Errorf("what listens at %s gave %s: is it a plugbeat daemon of this version?", c.socket, what)
}
