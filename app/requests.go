package app

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// requests counts the HTTP requests under way, because an http.Server waits only
// for those it does not cut off.
type requests struct {
	ctx context.Context // of every request
	cut context.CancelFunc

	mu   sync.Mutex
	n    int
	done chan struct{} // holds one item when a request ended after the cut
}

func newRequests() *requests {
	ctx, cut := context.WithCancel(context.Background())
	return &requests{ctx: ctx, cut: cut, done: make(chan struct{}, 1)}
}

// counted is h with its requests counted; none begins after the cut.
func (r *requests) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		late := r.ctx.Err() != nil
		if !late {
			r.n++
		}
		r.mu.Unlock()
		if late {
			panic(http.ErrAbortHandler)
		}
		defer func() {
			r.mu.Lock()
			r.n--
			r.mu.Unlock()
			select {
			case r.done <- struct{}{}:
			default:
			}
		}()
		h.ServeHTTP(w, req)
	})
}

func (r *requests) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// wait waits until no request is under way and returns how many are left when
// the time is over.
func (r *requests) wait(most time.Duration) int {
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		n := r.open()
		if n == 0 {
			return 0
		}
		select {
		case <-r.done:
		case <-over.C:
			return n
		}
	}
}
