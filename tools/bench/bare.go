package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// The two things to hold plugbeat against. Both make the same request as plugbeat:
// the same receiver, kept connections, a payload that plugbeat composed, both
// signatures. Neither decides, retries or accounts for anything.

// client makes one request after another over its connections.
type client struct {
	url  string
	http *http.Transport
	body []byte
	key  webhook.Secret
}

func newClient(url string, connections int) *client {
	return &client{
		url: url, key: signing.NewKey(), body: sample(uuid.New(), uuid.New()),
		http: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true},
	}
}

func (c *client) post(ctx context.Context, id uuid.UUID) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.body))
	if err != nil {
		return err
	}
	now := time.Now()
	req.Header[signing.HeaderSmartcar] = []string{signing.Smartcar(token, c.body)}
	req.Header[signing.HeaderID] = []string{id.String()}
	req.Header[signing.HeaderTimestamp] = []string{strconv.FormatInt(now.Unix(), 10)}
	req.Header[signing.HeaderSignature] = []string{signing.Standard(c.key, id, now, c.body)}
	req.Header["Content-Type"] = []string{"application/json"}
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return err
}

// repeat runs f from so many goroutines for a while and returns how often a second
// it succeeded.
func repeat(ctx context.Context, workers int, d time.Duration, f func(ctx context.Context) error) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	var n atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for time.Since(begin) < d && ctx.Err() == nil {
				if err := f(ctx); err != nil {
					cancel(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wait.Wait()
	return float64(n.Load()) / time.Since(begin).Seconds(), context.Cause(ctx)
}

// bare is the rate of the client alone.
func (b *bench) bare(ctx context.Context, connections int, d time.Duration) (float64, error) {
	c := newClient(b.receiver.hook(0, 0), connections)
	defer c.http.CloseIdleConnections()
	return repeat(ctx, connections, d, func(ctx context.Context) error { return c.post(ctx, uuid.New()) })
}

// change is one of the loop's writes, waiting for its commit.
type change struct {
	key  []byte
	put  []byte // nil deletes
	done chan error
}

// durable is the rate of accept, sync, send, sync: a row is committed with the
// payload before the request, and deleted for a record of what came after it. The
// changes of all workers that wait are committed together, as in plugbeat's store.
func (b *bench) durable(ctx context.Context, connections int, d time.Duration) (rate float64, err error) {
	path := filepath.Join(b.dir, "loop.db")
	defer func() { _ = os.Remove(path) }()
	db, err := bolt.Open(path, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 30})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.AllocSize = 4 << 20
	waiting, finished := []byte("waiting"), []byte("finished")
	err = db.Update(func(tx *bolt.Tx) error {
		_, err1 := tx.CreateBucket(waiting)
		_, err2 := tx.CreateBucket(finished)
		return errors.Join(err1, err2)
	})
	if err != nil {
		return 0, err
	}
	changes := make(chan change, connections)
	var writer sync.WaitGroup
	writer.Go(func() {
		for first := range changes {
			group := []change{first}
			for more := true; more && len(group) < 256; {
				select {
				case c, open := <-changes:
					if more = open; open {
						group = append(group, c)
					}
				default:
					more = false
				}
			}
			err := db.Update(func(tx *bolt.Tx) error {
				for _, c := range group {
					if c.put != nil {
						if err := tx.Bucket(waiting).Put(c.key, c.put); err != nil {
							return err
						}
						continue
					}
					if err := errors.Join(tx.Bucket(waiting).Delete(c.key), tx.Bucket(finished).Put(c.key, []byte("200"))); err != nil {
						return err
					}
				}
				return nil
			})
			for _, c := range group {
				c.done <- err
			}
		}
	})
	defer writer.Wait()
	defer close(changes)

	c := newClient(b.receiver.hook(0, 0), connections)
	defer c.http.CloseIdleConnections()
	var last atomic.Uint64
	return repeat(ctx, connections, d, func(ctx context.Context) error {
		commit := func(x change) error {
			x.done = make(chan error, 1)
			changes <- x
			return <-x.done
		}
		key := binary.BigEndian.AppendUint64(nil, last.Add(1))
		if err := commit(change{key: key, put: c.body}); err != nil {
			return err
		}
		if err := c.post(ctx, uuid.New()); err != nil {
			return err
		}
		return commit(change{key: key})
	})
}
