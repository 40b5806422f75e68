package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"plugbeat/egress"
	"plugbeat/webhook"
)

func TestClassifyStatus(t *testing.T) {
	for want, statuses := range map[webhook.Outcome][]int{
		webhook.OutcomeDelivered:   {200, 201, 202, 204, 299},
		webhook.OutcomeGone:        {410},
		webhook.OutcomeRefused:     {400, 413, 415, 422},
		webhook.OutcomeFailed:      {101, 300, 301, 304, 308, 399, 401, 403, 404, 405, 408, 411, 418, 451, 499, 500, 501, 505, 599, 600, 999},
		webhook.OutcomeUnavailable: {429, 502, 503, 504},
	} {
		for _, status := range statuses {
			v := ClassifyStatus(status, "", 1204)
			if v.Outcome != want || v.Error != "" || (v.Cause == "") != (want == webhook.OutcomeDelivered) || v.Network {
				t.Errorf("%d is %+v, want %s", status, v, want)
			}
		}
	}
	const final = "redirects are never followed; set the callback URI to the final address"
	for text, v := range map[string]Verdict{
		"413: our payload was 1204 bytes; raise the receiver's limit": ClassifyStatus(413, "", 1204),
		"302: it leads to https://other.test/x, and " + final:         ClassifyStatus(302, "https://other.test/x", 1),
		"304: " + final: ClassifyStatus(304, "", 1),
	} {
		status, _ := strconv.Atoi(text[:3])
		if got := answerText(webhook.Attempt{Outcome: v.Outcome, Status: status, Cause: v.Cause}); got != text {
			t.Error(got)
		}
	}
}

func TestClassifyError(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	const ours, unreachable, unavailable = webhook.OutcomeOurs, webhook.OutcomeUnreachable, webhook.OutcomeUnavailable
	for _, c := range []struct {
		err       error
		connected bool
		want      webhook.Outcome
		cause     string
	}{
		{dial(syscall.ECONNREFUSED), false, unreachable, "nothing listens there"},
		{dial(syscall.EHOSTUNREACH), false, unreachable, "does not answer"},
		{dial(syscall.ENETUNREACH), false, ours, "no network"},
		{dial(syscall.ENETDOWN), false, ours, "no network"},
		{dial(syscall.EMFILE), false, ours, "no file handles"},
		{io.EOF, true, unavailable, "closed the connection"},
		{syscall.ECONNRESET, true, unavailable, "closed the connection"},
		{syscall.ECONNRESET, false, unreachable, "closed the connection"},
		{errors.New("http: server closed idle connection"), true, unavailable, "closed the connection"},
		{errTimeout{after: 15 * time.Second, connected: true}, true, unavailable, "takes too long"},
		{errTimeout{after: 15 * time.Second}, false, unreachable, "no connection came about"},
		{context.DeadlineExceeded, true, unavailable, "takes too long"},
		{errors.New("?"), true, unavailable, "the connection to the receiver failed"},
		{errors.New("?"), false, unreachable, "the connection to the receiver failed"},
		{errors.New("remote error: tls: certificate required"), true, unreachable, "client certificate"},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, false, unreachable, "no such host"},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, false, unreachable, "cannot be resolved"},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, false, ours, "no resolver answers"},
		{&net.DNSError{Err: "read udp 127.0.0.53:53: connection refused"}, false, ours, "no resolver answers"},
		{fmt.Errorf("dial: %w", &egress.DeniedError{Address: "10.0.0.1:80"}), false, unreachable, "plugbeat never sends there"},
	} {
		if v := ClassifyError(c.err, c.connected); v.Outcome != c.want || v.Error == "" || !strings.Contains(v.Cause, c.cause) {
			t.Errorf("%v is %+v, want %s", c.err, v, c.want)
		}
	}
}

func TestRetryAfterHeader(t *testing.T) {
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
	s := defaultSettings().Schedule
	for _, long := range []string{"31536000000", "99999999999999999999999", "Tue, 01 Jan 3030 12:00:00 GMT"} { // a thousand years and more
		if got := s.wait([16]byte{1}, 0, retryAfter(long, now)); got != s.longest() {
			t.Errorf("%q: waits %s, want the longest wait", long, got)
		}
	}
}
