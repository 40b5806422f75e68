package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"plugbeat/webhook"
)

// Verdict is what an answer, or the lack of one, means.
type Verdict struct {
	Outcome webhook.Outcome
	// Error says what failed where there was no answer.
	Error string
	// Cause is the likely cause in words; empty where the answer says it all.
	Cause string
	// Network is true of a fault of our own that could be the receiver's: only
	// what others get tells the two apart.
	Network bool
}

// Classify judges an HTTP status, or the error where there was none. Bytes is
// the size of our payload.
func Classify(status int, err error, bytes int) Verdict {
	if err != nil {
		return classifyError(err)
	}
	v := Verdict{Outcome: webhook.OutcomeFailed}
	switch status {
	case http.StatusGone:
		v.Outcome, v.Cause = webhook.OutcomeGone, "the receiver says this webhook is gone for good"
	case http.StatusBadRequest:
		v.Outcome, v.Cause = webhook.OutcomeRefused, "the receiver cannot read our payload"
	case http.StatusRequestEntityTooLarge:
		v.Outcome, v.Cause = webhook.OutcomeRefused, "our payload was "+thousands(bytes)+" bytes; raise the receiver's limit"
	case http.StatusUnsupportedMediaType:
		v.Outcome, v.Cause = webhook.OutcomeRefused, "the receiver does not take application/json"
	case http.StatusUnprocessableEntity:
		v.Outcome, v.Cause = webhook.OutcomeRefused, "the receiver reads our payload but does not accept its values"
	case http.StatusTooManyRequests:
		v.Outcome, v.Cause = webhook.OutcomeUnavailable, "the receiver asks for fewer requests"
	case http.StatusServiceUnavailable:
		v.Outcome, v.Cause = webhook.OutcomeUnavailable, "the receiver is overloaded or down for maintenance"
	case http.StatusUnauthorized, http.StatusForbidden:
		v.Cause = "the receiver wants a login or refuses our signature; compare its key with ours"
	case http.StatusNotFound:
		v.Cause = "nothing is served at this path; check the callback URI"
	case http.StatusMethodNotAllowed:
		v.Cause = "the path does not take POST; check the callback URI"
	case http.StatusRequestTimeout:
		v.Cause = "the receiver did not get our request in time"
	case http.StatusPaymentRequired:
		v.Cause = "the receiver's plan or quota is used up"
	case http.StatusLengthRequired, http.StatusExpectationFailed, http.StatusPreconditionFailed, http.StatusPreconditionRequired:
		v.Cause = "the receiver asks for headers that plugbeat does not send; a proxy before it may"
	case http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		v.Cause = "the receiver's limit of the request line or headers is too low; raise it"
	case http.StatusMisdirectedRequest:
		v.Cause = "the receiver does not serve this host name; check the callback URI and its proxy"
	case http.StatusConflict, http.StatusLocked, http.StatusTooEarly:
		v.Cause = "the receiver is busy with the same thing; see its log"
	case http.StatusUnavailableForLegalReasons:
		v.Cause = "something before the receiver blocks it"
	case http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported, http.StatusSwitchingProtocols:
		v.Cause = "the receiver wants another protocol than HTTP/1.1"
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		v.Cause = "a proxy before the receiver cannot reach it"
	default:
		switch {
		case status >= 200 && status < 300:
			v.Outcome = webhook.OutcomeDelivered
		case status >= 300 && status < 400:
			v.Outcome, v.Cause = webhook.OutcomeFailed, "redirects are never followed; set the callback URI to the final address"
		case status >= 400 && status < 500:
			v.Cause = "the receiver refuses our request; see its log"
		case status >= 500 && status < 600:
			v.Cause = "the receiver has an error of its own; see its log"
		default:
			v.Cause = "that is no status of HTTP; is it a web server?"
		}
	}
	return v
}

// errTimeout ends a request whose headers did not come in time.
type errTimeout struct {
	after     time.Duration
	connected bool
}

func (e errTimeout) Error() string   { return "no answer within " + span(e.after) }
func (errTimeout) Timeout() bool     { return true }
func (errTimeout) Temporary() bool   { return true }
func (errTimeout) Is(err error) bool { return err == context.DeadlineExceeded }

func classifyError(err error) Verdict {
	v := Verdict{Outcome: webhook.OutcomeUnavailable, Error: clean(err.Error())}
	var denied *DeniedError
	var dns *net.DNSError
	var unknownCA x509.UnknownAuthorityError
	var host x509.HostnameError
	var cert x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	var late errTimeout
	is := func(errs ...error) bool {
		for _, e := range errs {
			if errors.Is(err, e) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &dns), is(syscall.ECONNREFUSED, syscall.EACCES, syscall.EPERM, syscall.EHOSTUNREACH, syscall.EHOSTDOWN),
		errors.As(err, &unknownCA), errors.As(err, &host), errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert),
		errors.As(err, &late) && !late.connected:
		v.Outcome = webhook.OutcomeUnreachable // there was no connection
	}
	switch {
	case errors.As(err, &denied):
		return Verdict{Outcome: webhook.OutcomeUnreachable, Error: denied.Error(), Cause: denied.advice()}
	case errors.As(err, &dns) && dns.IsNotFound:
		v.Cause = "no such host; check the callback URI's name"
	case errors.As(err, &dns) && (dns.IsTimeout || resolverDown(dns)):
		return Verdict{Outcome: webhook.OutcomeOurs, Error: v.Error, Cause: "no resolver answers", Network: true}
	case errors.As(err, &dns):
		v.Cause = "the name cannot be resolved"
	case is(syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL):
		return Verdict{Outcome: webhook.OutcomeOurs, Error: v.Error, Cause: "this machine has no network", Network: true}
	case is(syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM):
		return Verdict{Outcome: webhook.OutcomeOurs, Error: v.Error, Cause: "this machine has no file handles or memory left"}
	case is(syscall.ECONNREFUSED):
		v.Cause = "nothing listens there; is the receiver running?"
	case is(syscall.EACCES, syscall.EPERM):
		v.Cause = "a firewall of this machine forbids it"
	case is(syscall.EHOSTUNREACH, syscall.EHOSTDOWN):
		v.Cause = "the receiver's machine does not answer"
	case is(syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF):
		v.Cause = "the receiver closed the connection without an answer"
	case errors.As(err, &unknownCA):
		v.Cause = "the receiver's certificate is signed by nobody this machine knows"
	case errors.As(err, &host):
		v.Cause = "the receiver's certificate is for another name"
	case errors.As(err, &cert):
		v.Cause = "the receiver's certificate is not valid"
	case errors.As(err, &record):
		v.Cause = "the receiver does not speak TLS; is the callback URI http instead of https?"
	case errors.As(err, &alert):
		v.Cause = "the receiver refused TLS"
	case errors.As(err, &late) && !late.connected:
		v.Cause = "no connection came about; is the receiver down, or a firewall before it?"
	case errors.As(err, &network) && network.Timeout():
		v.Cause = "the receiver takes too long; answer first, work afterwards"
	case strings.Contains(v.Error, "malformed HTTP"):
		v.Cause = "what listens there does not speak HTTP; check the callback URI's port and scheme"
	case strings.Contains(v.Error, "server response headers exceeded"):
		v.Cause = "the receiver's answer has more than 64 KiB of headers, or one interim answer after the other"
	case strings.Contains(v.Error, "tls: ") || strings.Contains(v.Error, "x509: "):
		v.Cause = "TLS with the receiver does not come about; look at its certificate and versions"
	default:
		v.Cause = "the connection to the receiver failed; try its callback URI from this machine"
	}
	return v
}

// resolverDown reports whether the question never reached a resolver. A resolver
// that answers with a failure is not down: then the name is at fault.
func resolverDown(e *net.DNSError) bool {
	for _, s := range []string{"connection refused", "network is unreachable", "no route to host", "cannot assign requested address"} {
		if strings.Contains(e.Err, s) {
			return true
		}
	}
	return false
}

// retryAfter reads a Retry-After header: seconds, or an HTTP date. What is
// unreadable, negative or past is 0; what is beyond counting is the longest
// duration, which the ladder caps.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" || len(header) > 64 {
		return 0
	}
	digits := strings.TrimLeft(header, "0123456789") == ""
	if digits {
		const most = int64(1<<63-1) / int64(time.Second)
		n, err := strconv.ParseInt(header, 10, 64)
		if err != nil || n > most {
			n = most
		}
		return time.Duration(n) * time.Second
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
		if l := a.Header["Location"]; a.Outcome == webhook.OutcomeFailed && len(l) > 0 {
			head += " to " + clean(l[0])
		}
	}
	if a.Cause == "" {
		return head
	}
	return head + ": " + a.Cause
}

// printable replaces what is not fit for one line of a log or a terminal.
func printable(r rune) rune {
	if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

// clean makes text from outside fit for one line of a log or a terminal.
func clean(s string) string {
	s = strings.Map(printable, s)
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "..."
	}
	return s
}

// thousands writes a number with spaces between groups of three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// span writes a duration for a person: "15s", "4m10s", "10h51m".
func span(d time.Duration) string {
	switch {
	case d >= time.Hour:
		d = d.Round(time.Minute)
		if d%time.Hour == 0 {
			return fmt.Sprintf("%dh", d/time.Hour)
		}
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Second:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
