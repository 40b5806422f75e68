package delivery

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"plugbeat/webhook"
)

// An error before there is a connection makes an attempt unreachable, one after it
// unavailable: only what reached the receiver may have been what it could not take.
func TestNoConnectionIsUnreachable(t *testing.T) {
	for _, c := range []struct {
		err  error
		want webhook.Outcome
	}{
		{fmt.Errorf("dial tcp 192.0.2.1:80: %w", syscall.ECONNREFUSED), webhook.OutcomeUnreachable},
		{fmt.Errorf("dial tcp 192.0.2.1:80: %w", syscall.EHOSTUNREACH), webhook.OutcomeUnreachable},
		{&net.DNSError{Err: "no such host", Name: "hooks.example", IsNotFound: true}, webhook.OutcomeUnreachable},
		{errTimeout{after: 15 * time.Second}, webhook.OutcomeUnreachable},
		{errTimeout{after: 15 * time.Second, connected: true}, webhook.OutcomeUnavailable},
		{io.ErrUnexpectedEOF, webhook.OutcomeUnavailable},
		{fmt.Errorf("read tcp: %w", syscall.ECONNRESET), webhook.OutcomeUnavailable},
	} {
		if got := Classify(0, c.err, 0).Outcome; got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
}
