package adminapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"plugbeat/webhook"
)

// Version says what is running.
type Version struct {
	Version string `json:"version"` // "v0.1.0" or "devel"
	Go      string `json:"go"`      // "go1.26.0"
}

// Checked is the answer to POST /check. No problems means the file is sound.
type Checked struct {
	Problems []webhook.FileProblem `json:"problems"`
	Bytes    int64                 `json:"bytes"` // size of the copy that was checked
	Duration time.Duration         `json:"duration"`
}

// daemonCalls are the calls about the daemon and its data file.
type daemonCalls struct{ *conn }

// Version returns what the daemon runs.
func (c daemonCalls) Version(ctx context.Context) (v Version, err error) {
	return v, c.do(ctx, http.MethodGet, c.path("version"), nil, nil, &v)
}

// Status returns the whole daemon at a glance.
func (c daemonCalls) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, http.MethodGet, c.path("status"), nil, nil, &s)
}

// Check has the daemon check a copy of its data file.
func (c daemonCalls) Check(ctx context.Context) (a Checked, err error) {
	return a, c.within(checkTime).do(ctx, http.MethodPost, c.path("check"), nil, nil, &a)
}

// TestAlerts sends a test alert to one target, or to all for an empty name.
func (c daemonCalls) TestAlerts(ctx context.Context, target string) (a AlertsTested, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("alerts", "test"), nil, AlertTest{target}, &a)
}

// Backup writes a checked copy of the daemon's data file to w and returns its size
// in bytes. After an error w has a part of it, or nothing. The sealing key is not
// in it.
func (c daemonCalls) Backup(ctx context.Context, w io.Writer) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(checkTime, func() { cancel(ErrNoAnswer) })
	defer patience.Stop()
	res, err := c.send(ctx, http.MethodPost, c.path("backup"), nil, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
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
