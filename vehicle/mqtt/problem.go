package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/autopaho"

	"plugbeat/vehicle"
)

// The reasons of MQTT 5 that have a sentence of their own.
const (
	unsupportedVersion = 0x84
	badLogin           = 0x86
	notAuthorized      = 0x87
	takenOver          = 0x8e
	packetTooLarge     = 0x95
)

// problemOf says in words what is wrong with the broker, and what to do. refused is true
// where trying again soon is of no use.
func problemOf(err error, s *Source) (p vehicle.Problem, refused bool) {
	if err == nil {
		return vehicle.Problem{}, false
	}
	at := "the broker " + s.broker.Host
	if denied, ok := errors.AsType[*deniedError](err); ok {
		return vehicle.Problem{Code: "subscription_denied", Text: fmt.Sprintf("%s does not let the user %q read %s", at,
			s.settings.Username, denied.list()),
			Remedy: "give the user the right to subscribe to that at the broker; plugbeat asks for it anew every five minutes"}, false
	}
	reason := byte(0)
	if c, ok := errors.AsType[*autopaho.ConnackError](err); ok {
		reason = c.ReasonCode
	}
	if d, ok := errors.AsType[*sentAwayError](err); ok {
		reason = d.reason
	}
	if errors.Is(err, errOld) {
		reason = unsupportedVersion
	}
	switch reason {
	case badLogin, notAuthorized:
		text := fmt.Sprintf("%s refuses the user %q", at, s.settings.Username)
		if s.settings.Username == "" {
			text = at + " refuses a login without a user"
		}
		return vehicle.Problem{Code: "login_refused", Text: text,
			Remedy: "set username and password_file to a user of the broker, then restart plugbeat"}, true
	case unsupportedVersion, 0x01:
		return vehicle.Problem{Code: "mqtt5_missing", Text: at + " speaks MQTT 3.1.1 only, and plugbeat speaks MQTT 5",
			Remedy: "use a broker with MQTT 5: mosquitto since 1.6, EMQX, HiveMQ; or bridge its topics to one"}, true
	case takenOver:
		return vehicle.Problem{Code: "taken_over", Text: at + " gave our connection to another client of the same id",
			Remedy: "nothing: plugbeat's ids are random, and it connects again"}, false
	case packetTooLarge:
		return vehicle.Problem{Code: "not_a_broker", Text: at + " sent a packet that is too long",
			Remedy: "look at what is published on the topics of the map"}, false
	}
	if why, ok := certificate(err); ok {
		return vehicle.Problem{Code: "wrong_certificate", Text: fmt.Sprintf("the certificate of %s is not to be trusted: %s", s.broker.Host, why),
			Remedy: "name the host as the certificate does, or set ca_file to the certificate that signed it"}, true
	}
	if plain, ok := errors.AsType[*plainPasswordError](err); ok {
		return vehicle.Problem{Code: "plain_password", Text: plain.Error(), Remedy: "use mqtts://, or a broker in your own network"}, true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, errTooLong) {
		return vehicle.Problem{Code: "not_a_broker", Text: at + " does not speak MQTT over " + transport(s) + ": " + err.Error(),
			Remedy: "check the port and mqtt or mqtts: brokers mostly listen on 1883 without TLS and on 8883 with it"}, true
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return vehicle.Problem{Code: "unreachable", Text: at + " cannot be reached: " + dial.Err.Error(),
			Remedy: "check that it runs, the host and the port"}, false
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return vehicle.Problem{Code: "unreachable", Text: fmt.Sprintf("%s took the connection and did not answer within %s", at, connectTime),
			Remedy: "check that it runs and is not overloaded, and that no firewall swallows what it says"}, false
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return vehicle.Problem{Code: "not_a_broker", Text: at + " ended the connection without a word: it speaks no MQTT 5, or " +
			otherTransport(s),
			Remedy: "check the port and mqtt or mqtts; use a broker with MQTT 5"}, false
	}
	return vehicle.Problem{Code: "unreachable", Text: at + ": " + err.Error(), Remedy: "check that it runs, the host and the port"}, false
}

func transport(s *Source) string {
	if s.tls != nil {
		return "TLS"
	}
	return "plain TCP"
}

func otherTransport(s *Source) string {
	if s.tls != nil {
		return "no TLS on this port"
	}
	return "wants TLS"
}

// certificate says why a certificate was refused.
func certificate(err error) (string, bool) {
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return e.Error(), true
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return e.Error(), true
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return e.Error(), true
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error(), true
	}
	return "", false
}

// silence is how long nothing may arrive after subscribing before it is told.
const silence = 30 * time.Second

// trouble is how a source fares with its broker.
type trouble struct {
	problem vehicle.Problem // Code is empty while all is well
	// connected is since when the broker takes the subscription; connections that nothing
	// arrived on count as one.
	connected time.Time
}

// set notes a problem, or that there is none, and reports whether that is news.
func (t *trouble) set(p vehicle.Problem, now time.Time) bool {
	switch {
	case p.Code != "":
		t.connected = time.Time{}
	case t.connected.IsZero():
		t.connected = now
	}
	if p.Code == t.problem.Code && p.Text == t.problem.Text {
		return false
	}
	p.Since = now
	t.problem = p
	return true
}

// Problems implements [vehicle.Reporter].
func (s *Source) Problems(now time.Time) []vehicle.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t := s.trouble; {
	case t.problem.Code != "":
		return []vehicle.Problem{t.problem}
	case !t.connected.IsZero() && len(s.settings.Vehicles) > 0 && s.LastMessage().IsZero() && now.Sub(t.connected) > silence:
		return []vehicle.Problem{{Code: "nothing_arrives", Since: t.connected,
			Text: fmt.Sprintf("the broker %s takes the subscription, and nothing arrives, of topics such as %s", s.broker.Host, s.Topics()[0]),
			Remedy: "see what is published (plugbeat source discover " + s.deps.Name +
				"); check that the user may read the topics: some brokers drop in silence"}}
	}
	return s.Fleet.Problems(now)
}
