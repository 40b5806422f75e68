package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// Settings are the config's section of a source of this kind.
type Settings struct {
	Broker       string            `yaml:"broker" required:"yes" example:"mqtt://192.168.1.10"`
	Username     string            `yaml:"username"`
	PasswordFile string            `yaml:"password_file" credential:"password" optional:"yes"`
	CAFile       string            `yaml:"ca_file" path:"yes"`
	CertFile     string            `yaml:"cert_file" path:"yes"`
	KeyFile      string            `yaml:"key_file" path:"yes"`
	Settle       time.Duration     `yaml:"settle"`
	Vehicles     []mapping.Vehicle `yaml:"vehicles" required:"yes" example:"[{id: model3, make: TESLA, preset: teslamate, with: {car: 1}}]"`
}

var _ vehicle.Endpoints = (*Settings)(nil)

// reference documents the settings.
//
//go:embed reference.yaml
var reference string

// Kind is this kind of source.
func Kind() vehicle.Kind {
	return vehicle.Kind{
		Name: "mqtt", Doc: "mqtt reads vehicles from the owner's own broker: TeslaMate, evcc, openWB, OVMS, or any map", Example: "broker",
		Starts: []vehicle.Start{{
			Name: "mqtt", Doc: "what programs publish to your own broker: TeslaMate, evcc, openWB, OVMS", Source: "broker",
			Questions: []vehicle.Question{{Key: "broker", Ask: "the broker, as mqtt://192.168.1.10 or mqtts://mqtt.lan"},
				{Key: "username", Ask: "the user at the broker", Optional: true},
				{Key: "password_file", Ask: "a file with the user's password", Optional: true}},
			Section: `type: mqtt
broker: {broker}
username: {username}
password_file: {password_file}
# This puts the vehicles here that the broker has: plugbeat source discover {name} --add
vehicles: []
`,
			First: []string{"plugbeat source discover {name} --add"},
		}},
		Presets:   mapping.Presets(),
		Reference: reference,
		Settings:  func() vehicle.Settings { return &Settings{Settle: 2 * time.Second} },
	}
}

// Check implements [vehicle.Settings].
func (s *Settings) Check() (wrong []vehicle.Complaint) {
	add := func(c vehicle.Complaint) { wrong = append(wrong, c) }
	const want = "mqtt://HOST:PORT or mqtts://HOST:PORT; the user and the password have settings of their own"
	u, err := url.Parse(s.Broker)
	switch {
	case err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || u.Hostname() == "":
		add(vehicle.Complaint{Setting: "broker", Value: s.Broker, Why: "it is no address of a broker", Allowed: want})
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		add(vehicle.Complaint{Setting: "broker", Value: u.Redacted(), Why: "it has more than a host and a port", Allowed: want})
	case !vehicle.GoodPort(u):
		add(vehicle.Complaint{Setting: "broker", Value: s.Broker, Why: "its port is not from 1 to 65535", Allowed: want})
	case u.Scheme == "mqtt" && s.PasswordFile != "":
		plain := vehicle.Complaint{Setting: "broker", Value: s.Broker, Why: "the password would go over the network as it is",
			Allowed: "mqtts://, or a broker in your own network"}
		addr, err := netip.ParseAddr(u.Hostname())
		plain.Warning = err != nil || !public(addr)
		add(plain)
	case u.Scheme == "mqtt":
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && public(addr) {
			add(vehicle.Complaint{Setting: "broker", Value: s.Broker, Why: "whoever is on the way can read and change what it says",
				Allowed: "mqtts://", Warning: true})
		}
	}
	if s.PasswordFile != "" && s.Username == "" {
		add(vehicle.Complaint{Setting: "username", Why: "there is a password for it", Allowed: "the user's name at the broker"})
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		add(vehicle.Complaint{Setting: "key_file", Value: s.KeyFile, Why: "a client certificate needs both",
			Allowed: "cert_file and key_file, or neither"})
	}
	if len(s.Vehicles) == 0 {
		add(vehicle.Complaint{Setting: "vehicles", Why: "nothing is read", Warning: true,
			Allowed: "a vehicle, such as {id: model3, preset: teslamate, with: {car: 1}}; plugbeat source discover finds those that the broker offers"})
	}
	return append(wrong, mapping.Check("vehicles", s.Vehicles, mapping.Topics)...)
}

// public reports whether the address is one of the internet at large.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// Endpoints implements [vehicle.Endpoints].
func (s *Settings) Endpoints() []vehicle.Endpoint {
	return []vehicle.Endpoint{{Setting: "broker", URL: withPort(s.Broker), Own: true}}
}

// withPort is the broker's URL with the port that its scheme stands for.
func withPort(broker string) string {
	u, err := url.Parse(broker)
	if err == nil && u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"mqtt": "1883", "mqtts": "8883"}[u.Scheme])
		broker = u.String()
	}
	return broker
}

// Open implements [vehicle.Settings].
func (s *Settings) Open(ctx context.Context, d vehicle.Deps) (vehicle.Source, error) {
	o := options{settings: *s, deps: d}
	u, err := url.Parse(withPort(s.Broker))
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	o.broker = u
	if s.PasswordFile != "" {
		password, err := d.Secret("password_file")
		if err != nil {
			return nil, err
		}
		o.password = []byte(password)
	}
	if u.Scheme == "mqtts" {
		if o.tls, err = s.tls(u.Hostname()); err != nil {
			return nil, err
		}
	}
	known, err := d.Known(ctx)
	if err != nil {
		return nil, err
	}
	fleet := mapping.NewFleet(d.Name, s.Vehicles, s.Settle, known)
	fleet.Serves(u.Host, "")
	return &Source{Fleet: fleet, options: o}, nil
}

// Rehearse implements [vehicle.Rehearser].
func (s *Settings) Rehearse(log io.Reader) ([]vehicle.Heard, error) {
	return mapping.Rehearse(s.Vehicles, s.Settle, log)
}

// tls is how the broker is checked, and shown a client certificate.
func (s *Settings) tls(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	for setting, path := range map[string]string{"ca_file": s.CAFile, "cert_file": s.CertFile, "key_file": s.KeyFile} {
		if info, err := os.Stat(path); path != "" && err == nil && !info.Mode().IsRegular() { // a pipe would be waited for
			return nil, fmt.Errorf("%s: %s is not a regular file", setting, path)
		}
	}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s has no certificate in PEM form", s.CAFile)
		}
	}
	if s.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file and key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
