package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/webhook"
)

// Every answer but a success has its likely cause in words, and so has every way
// to get none.
func TestEveryOutcomeHasItsCause(t *testing.T) {
	for status := 100; status < 1000; status++ {
		v := ClassifyStatus(status, "https://other.test/", 1204)
		if (v.Outcome == webhook.OutcomeDelivered) != (v.Cause == "") {
			t.Errorf("%d: %+v", status, v)
		}
	}
	denied := &egress.DeniedError{}
	for _, err := range []error{
		denied, &net.DNSError{IsNotFound: true}, &net.DNSError{IsTimeout: true}, &net.DNSError{Err: "connection refused"}, &net.DNSError{Err: "server misbehaving"},
		syscall.ENETUNREACH, syscall.EMFILE, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ECONNRESET, syscall.EPERM, io.EOF, io.ErrUnexpectedEOF,
		x509.UnknownAuthorityError{}, x509.HostnameError{Certificate: &x509.Certificate{}}, x509.CertificateInvalidError{Cert: &x509.Certificate{}}, x509.SystemRootsError{},
		tls.RecordHeaderError{}, errors.New("tls: no cipher suite in common"), errTimeout{after: time.Second}, errTimeout{after: time.Second, connected: true},
		errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0"`),
		errors.New("net/http: server response headers exceeded 65536 bytes; aborted"), errors.New("something nobody foresaw"),
	} {
		if v := ClassifyError(fmt.Errorf("exchange: %w", err), false); v.Outcome == "" || v.Outcome == webhook.OutcomeDelivered || v.Cause == "" || v.Error == "" {
			t.Errorf("%v: %+v", err, v)
		}
	}
}

// The reason of a disabling carries the last answer and its likely cause, however
// it came to that.
func TestReasonsSayWhy(t *testing.T) {
	for _, tc := range []struct {
		answer  answer
		answers bool // challenges
		want    string
	}{
		{answer{status: 413}, false, "413: our payload was 1 204 bytes; raise the receiver's limit"},
		{answer{status: 422}, false, "422: the receiver reads our payload but does not accept its values"},
		{answer{status: 500}, false, "500: the receiver has an error of its own; see its log"},
		{answer{status: 500}, true, "it answers challenges and takes no payload; last answer: 500: the receiver has an error of its own; see its log"},
		{answer{status: 404}, false, "404: nothing is served at this path; check the callback URI"},
		{answer{status: 401}, false, "401: the receiver wants a login or refuses our signature; compare its key with ours"},
		{answer{status: 503}, false, "503: the receiver is overloaded or down for maintenance"},
		{answer{status: 429}, false, "429: the receiver asks for fewer requests"},
		{answer{status: 302}, false, "302: redirects are never followed; set the callback URI to the final address"},
		{answer{status: 418}, false, "418: the receiver refuses our request; see its log"},
		{answer{status: 410}, false, "410: the receiver says this webhook is gone for good"},
		{answer{outcome: webhook.OutcomeUnreachable}, false, "connection refused: nothing listens there; is the receiver running?"},
	} {
		m := newSim(t, func(*webhook.Delivery, time.Time) answer { return tc.answer })
		m.challenge = func(time.Time) bool { return tc.answers }
		m.fleet(3, 16*time.Hour)
		m.run(16 * time.Hour)
		if m.w.Status != webhook.Disabled || !strings.HasSuffix(m.w.ReasonText, tc.want) {
			t.Errorf("%+v: %s (%s) %q, want %q", tc.answer, m.w.Status, m.w.Reason, m.w.ReasonText, tc.want)
		}
		for _, e := range m.named(eventDisabled) {
			if e.Text == "" || e.Reason == "" {
				t.Errorf("%+v: announced as %+v", tc.answer, e)
			}
		}
	}
	// Somebody's wish is a reason as well.
	for reason, text := range map[webhook.Reason]string{webhook.ByOperator: "disabled by the operator", webhook.CallbackChanged: "the callback URI was changed; verify the new receiver"} {
		w := webhook.Webhook{ID: uuid.UUID{1}}
		out(&w, reason, text, epoch)
		if w.ReasonText != text || w.Reason != reason {
			t.Errorf("%+v", w)
		}
	}
}
