package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plugbeat/webhook"
)

// conn speaks HTTP to the daemon's socket.
type conn struct {
	socket  string
	http    *http.Client
	wait    time.Duration
	ifMatch string
}

// within returns the connection with another time to wait for an answer.
func (c *conn) within(d time.Duration) *conn {
	other := *c
	other.wait = d
	return &other
}

// path joins escaped segments; it is empty when one of them cannot be a segment.
func (c *conn) path(segments ...string) string {
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

// send makes a request and returns the answer where the daemon took it; the caller closes
// its body.
func (c *conn) send(ctx context.Context, method, path string, q url.Values, in any) (*http.Response, error) {
	if path == "" {
		return nil, &webhook.Invalid{Field: "name", Allowed: "an id or a name"}
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://plugbeat"+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.ifMatch != "" {
		req.Header.Set("If-Match", c.ifMatch)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return nil, c.refused(res.StatusCode, b)
}

func (c *conn) do(ctx context.Context, method, path string, q url.Values, in, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.wait, ErrNoAnswer)
	defer cancel()
	res, err := c.send(ctx, method, path, q, in)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
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
func (c *conn) refused(status int, body []byte) error {
	var e Envelope
	if json.Unmarshal(body, &e) != nil || e.Error == nil || e.Error.Code == "" {
		return c.stranger(fmt.Sprintf("status %d without an error of /api/v1", status))
	}
	e.Error.Status = status
	return e.Error
}

// unreachable says why no answer came, and what to do.
func (c *conn) unreachable(ctx context.Context, err error) error {
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
		text = fmt.Sprintf("socket %s: permission denied: run as root, or join its group (`sudo usermod -aG plugbeat $USER`, then log in again)",
			c.socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		causes = append(causes, ErrNoDaemon)
		text = fmt.Sprintf("%v at %s: start it with `plugbeat serve --config FILE`, or name its socket with --socket", ErrNoDaemon, c.socket)
	case errors.Is(err, syscall.EINVAL):
		text = fmt.Sprintf("socket %s: a socket's path has at most 107 bytes, this one has %d: choose a shorter `socket` in the config",
			c.socket, len(c.socket))
	}
	return &unreachable{text: text, causes: causes}
}

func (c *conn) stranger(what string) error {
	return fmt.Errorf("what listens at %s gave %s: is it a plugbeat daemon of this version?", c.socket, what)
}
