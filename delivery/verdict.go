package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plugbeat/egress"
	"plugbeat/webhook"
	"plugbeat/words"
)

// Verdict is what an answer, or the lack of one, means.
type Verdict struct {
	Outcome webhook.Outcome
	// Error says what failed where there was no answer, as it came.
	Error string
	// Cause is the likely cause in words; empty for a success.
	Cause string
	// Network is true of an address to which this machine has no route: its network is
	// down, or it has none of the address's family.
	Network bool
}

// The causes of the statuses that have one of their own.
var causes = map[int]string{
	http.StatusSwitchingProtocols:          "the receiver wants another protocol than HTTP/1.1",
	http.StatusBadRequest:                  "the receiver cannot read our payload",
	http.StatusUnauthorized:                "the receiver wants a login or refuses our signature; compare its key with ours",
	http.StatusPaymentRequired:             "the receiver's plan or quota is used up",
	http.StatusForbidden:                   "the receiver wants a login or refuses our signature; compare its key with ours",
	http.StatusNotFound:                    "nothing is served at this path; check the callback URI",
	http.StatusMethodNotAllowed:            "the path does not take POST; check the callback URI",
	http.StatusRequestTimeout:              "the receiver did not get our request in time",
	http.StatusConflict:                    "the receiver is busy with the same thing; see its log",
	http.StatusGone:                        "the receiver says this webhook is gone for good",
	http.StatusLengthRequired:              "the receiver asks for headers that plugbeat does not send; a proxy before it may",
	http.StatusPreconditionFailed:          "the receiver asks for headers that plugbeat does not send; a proxy before it may",
	http.StatusRequestURITooLong:           "the receiver's limit of the request line or headers is too low; raise it",
	http.StatusUnsupportedMediaType:        "the receiver does not take application/json",
	http.StatusExpectationFailed:           "the receiver asks for headers that plugbeat does not send; a proxy before it may",
	http.StatusMisdirectedRequest:          "the receiver does not serve this host name; check the callback URI and its proxy",
	http.StatusUnprocessableEntity:         "the receiver reads our payload but does not accept its values",
	http.StatusLocked:                      "the receiver is busy with the same thing; see its log",
	http.StatusTooEarly:                    "the receiver is busy with the same thing; see its log",
	http.StatusUpgradeRequired:             "the receiver wants another protocol than HTTP/1.1",
	http.StatusPreconditionRequired:        "the receiver asks for headers that plugbeat does not send; a proxy before it may",
	http.StatusTooManyRequests:             "the receiver asks for fewer requests",
	http.StatusRequestHeaderFieldsTooLarge: "the receiver's limit of the request line or headers is too low; raise it",
	http.StatusUnavailableForLegalReasons:  "something before the receiver blocks it",
	http.StatusBadGateway:                  "a proxy before the receiver cannot reach it",
	http.StatusServiceUnavailable:          "the receiver is overloaded or down for maintenance",
	http.StatusGatewayTimeout:              "a proxy before the receiver cannot reach it",
	http.StatusHTTPVersionNotSupported:     "the receiver wants another protocol than HTTP/1.1",
}

// ClassifyStatus judges an answer by its status. location is the answer's Location,
// fit to be shown; bytes is the size of the payload.
func ClassifyStatus(status int, location string, bytes int) Verdict {
	v := Verdict{Outcome: webhook.OutcomeFailed, Cause: causes[status]}
	switch status {
	case http.StatusGone:
		v.Outcome = webhook.OutcomeGone
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		v.Outcome = webhook.OutcomeRefused
	case http.StatusRequestEntityTooLarge:
		v.Outcome, v.Cause = webhook.OutcomeRefused, "our payload was "+strconv.Itoa(bytes)+" bytes; raise the receiver's limit"
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		v.Outcome = webhook.OutcomeUnavailable
	}
	switch {
	case v.Cause != "":
	case status >= 200 && status < 300:
		v.Outcome = webhook.OutcomeDelivered
	case status >= 300 && status < 400 && location != "":
		v.Cause = "it leads to " + location + ", and redirects are never followed; set the callback URI to the final address"
	case status >= 300 && status < 400:
		v.Cause = "redirects are never followed; set the callback URI to the final address"
	case status >= 400 && status < 500:
		v.Cause = "the receiver refuses our request; see its log"
	case status >= 500 && status < 600:
		v.Cause = "the receiver has an error of its own; see its log"
	default:
		v.Cause = "that is no status of HTTP; is it a web server?"
	}
	return v
}

// errTimeout ends a request whose headers did not come in time.
type errTimeout struct {
	after     time.Duration
	connected bool
}

func (e errTimeout) Error() string { return "no answer within " + words.Span(e.after) }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }

// ClassifyError judges why no answer came. connected is true when a connection, with
// TLS where the URI asks for it, had come about.
func ClassifyError(err error, connected bool) Verdict {
	v := Verdict{Outcome: webhook.OutcomeUnreachable, Error: err.Error()}
	if connected {
		v.Outcome = webhook.OutcomeUnavailable
	}
	if denied, ok := errors.AsType[*egress.DeniedError](err); ok {
		v.Error, v.Cause = denied.Error(), denied.Advice()
		return v
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound && egress.IsLocal(dns.Name):
			v.Cause = "is that machine on, and in this network?"
		case dns.IsNotFound:
			v.Cause = "no such host; check the callback URI's name"
		case dns.IsTimeout || resolverDown(dns):
			v.Outcome, v.Cause = webhook.OutcomeOurs, "no resolver answers"
		default:
			v.Cause = "the name cannot be resolved"
		}
		return v
	}
	is := func(errs ...error) bool {
		return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
	}
	switch {
	case is(syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL):
		v.Outcome, v.Cause, v.Network = webhook.OutcomeOurs, "this machine has no network", true
	case is(syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM):
		v.Outcome, v.Cause = webhook.OutcomeOurs, "this machine has no file handles or memory left"
	case is(syscall.ECONNREFUSED):
		v.Cause = "nothing listens there; is the receiver running?"
	case is(syscall.EACCES, syscall.EPERM):
		v.Cause = "a firewall of this machine forbids it"
	case is(syscall.EHOSTUNREACH, syscall.EHOSTDOWN):
		v.Cause = "the receiver's machine does not answer"
	case is(syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF), strings.Contains(v.Error, "server closed idle connection"):
		v.Cause = "the receiver closed the connection without an answer"
	default:
		v.Cause = causeOfError(err, v.Error)
		if strings.Contains(v.Error, "remote error: tls: ") {
			// With TLS 1.3 the receiver's refusal comes after the handshake.
			v.Outcome, v.Cause = webhook.OutcomeUnreachable, "the receiver refused TLS; does it want a client certificate?"
		}
	}
	return v
}

// causeOfError returns the likely cause of an error of TLS, of HTTP or of time.
func causeOfError(err error, text string) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the receiver's certificate is signed by nobody this machine knows"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the receiver's certificate is for another name"
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return "the receiver's certificate is not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the receiver does not speak TLS; is the callback URI http instead of https?"
	}
	if late, ok := errors.AsType[errTimeout](err); ok && !late.connected {
		return "no connection came about; is the receiver down, or a firewall before it?"
	}
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case isNetwork && network.Timeout():
		return "the receiver takes too long; answer first, work afterwards"
	case strings.Contains(text, "malformed HTTP"):
		return "what listens there does not speak HTTP; check the callback URI's port and scheme"
	case strings.Contains(text, "server response headers exceeded"):
		return "the receiver's answer has more than 64 KiB of headers, or one interim answer after the other"
	case strings.Contains(text, "tls: ") || strings.Contains(text, "x509: "):
		return "TLS with the receiver does not come about; look at its certificate and versions"
	}
	return "the connection to the receiver failed; try its callback URI from this machine"
}

// resolverDown reports whether the question reached no resolver. Where a resolver
// answered with a failure, the name is at fault.
func resolverDown(e *net.DNSError) bool {
	for _, s := range []string{
		"connection refused", "network is unreachable", "no route to host", "cannot assign requested address",
		"Temporary failure in name resolution",
	} {
		if strings.Contains(e.Err, s) {
			return true
		}
	}
	return false
}

// retryAfter reads a Retry-After header: seconds, or an HTTP date. It returns 0 for an
// unreadable, a negative or a past one, and the longest duration for one beyond
// counting.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" || len(header) > 64 {
		return 0
	}
	if strings.TrimLeft(header, "0123456789") == "" {
		n, _ := strconv.ParseInt(header, 10, 64) //nolint:errcheck // the largest for one beyond counting
		return time.Duration(min(n, int64(math.MaxInt64/time.Second))) * time.Second
	}
	at, err := http.ParseTime(header)
	if err != nil || !at.After(now) {
		return 0
	}
	return at.Sub(now)
}

// answerText says in one line what an attempt came to, its likely cause behind
// it; empty for a success.
func answerText(a webhook.Attempt) string {
	if a.Outcome == webhook.OutcomeDelivered {
		return ""
	}
	head := a.Error
	if a.Status != 0 {
		head = strconv.Itoa(a.Status)
	}
	if a.Cause == "" {
		return head
	}
	return head + ": " + a.Cause
}

// clean makes text from outside fit for one line of a log or a terminal.
func clean(s string) string {
	s = words.Line(s)
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "..."
	}
	return s
}
