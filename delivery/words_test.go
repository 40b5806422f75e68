package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"plugbeat/egress"
	"plugbeat/webhook"
)

// Every answer but a success has its likely cause in words, and so has every way to get
// none.
func TestEveryOutcomeHasItsCause(t *testing.T) {
	for status := 100; status < 1000; status++ {
		v := ClassifyStatus(status, "https://other.test/", 1204)
		if (v.Outcome == webhook.OutcomeDelivered) != (v.Cause == "") {
			t.Errorf("%d: %+v", status, v)
		}
	}
	for _, err := range []error{
		&egress.DeniedError{}, &net.DNSError{IsNotFound: true}, &net.DNSError{IsTimeout: true}, &net.DNSError{Err: "connection refused"}, &net.DNSError{Err: "server misbehaving"},
		syscall.ENETUNREACH, syscall.EMFILE, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ECONNRESET, syscall.EPERM, io.EOF, io.ErrUnexpectedEOF,
		x509.UnknownAuthorityError{}, x509.HostnameError{Certificate: &x509.Certificate{}}, x509.CertificateInvalidError{Cert: &x509.Certificate{}}, x509.SystemRootsError{},
		tls.RecordHeaderError{}, errors.New("tls: no cipher suite in common"), errTimeout{after: time.Second}, errTimeout{after: time.Second, connected: true},
		errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0"`),
		errors.New("net/http: server response headers exceeded 65536 bytes; aborted"), errors.New("something nobody foresaw"),
	} {
		for _, connected := range []bool{false, true} {
			if v := ClassifyError(fmt.Errorf("exchange: %w", err), connected); v.Outcome == "" || v.Outcome == webhook.OutcomeDelivered || v.Cause == "" || v.Error == "" {
				t.Errorf("%v: %+v", err, v)
			}
		}
	}
}
