package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"plugbeat/egress"
	"plugbeat/webhook"
)

func TestClassify(t *testing.T) {
	for status, want := range map[int]webhook.Outcome{
		200: webhook.OutcomeDelivered, 201: webhook.OutcomeDelivered, 299: webhook.OutcomeDelivered,
		301: webhook.OutcomeRedirect, 304: webhook.OutcomeRedirect, 308: webhook.OutcomeRedirect,
		400: webhook.OutcomeBlamed, 413: webhook.OutcomeBlamed, 415: webhook.OutcomeBlamed, 422: webhook.OutcomeBlamed,
		410: webhook.OutcomeGone, 429: webhook.OutcomeThrottled, 503: webhook.OutcomeThrottled,
		401: webhook.OutcomeRefused, 404: webhook.OutcomeRefused, 418: webhook.OutcomeRefused, 500: webhook.OutcomeRefused, 599: webhook.OutcomeRefused, 999: webhook.OutcomeRefused, 101: webhook.OutcomeRefused,
	} {
		if v := Classify(status, nil, 1204); v.Outcome != want {
			t.Errorf("%d is %s, want %s", status, v.Outcome, want)
		}
	}
	v := Classify(413, nil, 1204)
	if got := answerText(webhook.Attempt{Outcome: v.Outcome, Status: 413, Cause: v.Cause}); got != "413: our payload was 1 204 bytes; raise the receiver's limit" {
		t.Error(got)
	}
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, c := range []struct {
		err  error
		want webhook.Outcome
	}{
		{dial(syscall.ECONNREFUSED), webhook.OutcomeNoAnswer}, {dial(syscall.EHOSTUNREACH), webhook.OutcomeNoAnswer}, {io.EOF, webhook.OutcomeNoAnswer},
		{errTimeout{after: 15 * time.Second, connected: true}, webhook.OutcomeNoAnswer}, {context.DeadlineExceeded, webhook.OutcomeNoAnswer}, {errors.New("?"), webhook.OutcomeNoAnswer},
		{dial(syscall.ENETUNREACH), webhook.OutcomeOurs}, {dial(syscall.ENETDOWN), webhook.OutcomeOurs}, {dial(syscall.EMFILE), webhook.OutcomeOurs},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, webhook.OutcomeNoAnswer},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, webhook.OutcomeNoAnswer},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, webhook.OutcomeOurs},
		{&net.DNSError{Err: "read udp 127.0.0.53:53: connection refused"}, webhook.OutcomeOurs},
		{fmt.Errorf("dial: %w", &egress.DeniedError{Address: "10.0.0.1:80", Class: "private"}), webhook.OutcomeDenied},
	} {
		if v := Classify(0, c.err, 0); v.Outcome != c.want || v.Error == "" {
			t.Errorf("%v is %+v, want %s", c.err, v, c.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	for h, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-5": 0, "+5": 0, "1.5": 0, "soon": 0, "0x10": 0,
		"Tue, 01 Jan 2030 12:01:00 GMT": time.Minute, "Tue, 01 Jan 2030 11:59:00 GMT": 0, "Tue, 01 Jan 2030 12:00:00 GMT": 0,
		"Tuesday, 01-Jan-30 12:01:00 GMT": time.Minute,
		strings.Repeat("9", 65):           0,
	} {
		if got := retryAfter(h, now); got != want {
			t.Errorf("%q: %s, want %s", h, got, want)
		}
	}
	s, _ := DefaultSettings().complete()
	for _, long := range []string{"31536000000", "99999999999999999999999", "Tue, 01 Jan 3030 12:00:00 GMT"} { // a thousand years and more
		if got := s.wait([16]byte{1}, 0, retryAfter(long, now)); got != s.longest() {
			t.Errorf("%q: waits %s, want the longest rung", long, got)
		}
	}
}
