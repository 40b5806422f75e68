package adminapi

import (
	"context"
	"net"
	"net/http"
	"time"
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
	*conn
	daemonCalls
	webhookCalls
	vehicleCalls
	subscriptionCalls
	deliveryCalls
	tokenCalls
	sourceCalls
}

func clientOf(c *conn) *Client {
	return &Client{c, daemonCalls{c}, webhookCalls{c}, vehicleCalls{c}, subscriptionCalls{c}, deliveryCalls{c}, tokenCalls{c}, sourceCalls{c}}
}

// IfMatch returns the client with the ETag that a webhook had when it was looked
// at: its changes and removals of the webhook are [CodeChanged] when somebody
// changed the settings since.
func (c *Client) IfMatch(etag string) *Client {
	other := *c.conn
	other.ifMatch = etag
	return clientOf(&other)
}

// Dial returns a client of the daemon that listens at the socket. It connects
// with the first call, not before.
func Dial(socket string) *Client {
	d := net.Dialer{Timeout: 5 * time.Second}
	return clientOf(&conn{socket: socket, wait: patience, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns:    2,
		IdleConnTimeout: time.Minute,
	}}})
}

// Socket returns the path given to [Dial].
func (c *Client) Socket() string { return c.socket }

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
