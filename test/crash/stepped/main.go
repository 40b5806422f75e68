//go:build linux

// Stepped is plugbeat's daemon for the crash harness: the same packages, wired by the
// same [app.New], with a place to stop before and after each commit and each request.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/app"
	"plugbeat/config"
	"plugbeat/store"
	"plugbeat/test/crash/stop"
)

func main() {
	ctx, end := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer end()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

func run(ctx context.Context, file string) error {
	page, err := stop.Open(os.Getenv(stop.PageFile))
	if err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	if err := cfg.CheckFiles(); err != nil {
		return err
	}
	cfg.Floor = time.Second // so that there is always something due
	a, err := app.New(ctx, cfg, app.Options{
		Version: "stepped", Log: zerolog.New(os.Stderr).Level(zerolog.WarnLevel).With().Timestamp().Logger(),
		AroundCommit:  func(steps []store.Step, commit func() error) error { return around(page, steps, commit) },
		AroundRequest: func(rt http.RoundTripper) http.RoundTripper { return requests{page, rt} },
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// around commits, and stops before or after it where that is armed.
func around(p *stop.Page, steps []store.Step, commit func() error) error {
	stops := map[stop.Step]stop.Step{}
	outcomes := 0
	for _, step := range steps {
		switch step {
		case store.StepRead:
			stops[stop.BeforeRead] = stop.AfterRead
		case store.StepOutcome:
			stops[stop.BeforeOutcomes] = stop.AfterOutcomes
			outcomes++
		case store.StepSlice: // the scheduler moves schedules at its start: not the change that a test waits for
		default:
			stops[stop.BeforeChange] = stop.AfterChange
		}
	}
	for before := range stops {
		p.Reach(before)
	}
	err := commit()
	if err == nil {
		p.Fly(-outcomes)
	}
	for _, after := range stops {
		p.Reach(after)
	}
	return err
}

// requests stops before or after each request of a delivery.
type requests struct {
	page *stop.Page
	rt   http.RoundTripper
}

func (r requests) RoundTrip(req *http.Request) (*http.Response, error) {
	if challenge(req) {
		return r.rt.RoundTrip(req)
	}
	r.page.Reach(stop.BeforeRequest)
	r.page.Fly(1)
	resp, err := r.rt.RoundTrip(req)
	if err != nil && strings.Contains(err.Error(), "server closed idle connection") {
		r.page.Fly(-1) // nothing of it was sent, and it is made again
		return resp, err
	}
	r.page.Reach(stop.AfterRequest)
	return resp, err
}

// challenge reports whether the request is no delivery's.
func challenge(req *http.Request) bool {
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(body)
	return err == nil && slices.ContainsFunc([]string{`"eventName":"verify"`, `"mode":"test"`},
		func(s string) bool { return bytes.Contains(b.Bytes(), []byte(s)) })
}
