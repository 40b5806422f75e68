package smartcar

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// Settings are the config's section of a source of this kind.
type Settings struct {
	Budget           vehicle.Budget `yaml:"budget"`
	ClientID         string         `yaml:"client_id" required:"yes"`
	ClientSecretFile string         `yaml:"client_secret_file" credential:"client_secret"`
	Mode             string         `yaml:"mode"`
	APIOrigin        string         `yaml:"api_origin"`
	AuthOrigin       string         `yaml:"auth_origin"`
	ConnectOrigin    string         `yaml:"connect_origin"`
	Bucket           int            `yaml:"bucket"`
	BucketRefill     time.Duration  `yaml:"bucket_refill"`
	RedirectURI      string         `yaml:"redirect_uri"`
}

var _ vehicle.Endpoints = (*Settings)(nil)

// reference documents the settings, apart from the budget.
//
//go:embed reference.yaml
var reference string

// Kind is this kind of source.
func Kind() vehicle.Kind {
	return vehicle.Kind{
		Name: "smartcar", Doc: "smartcar reads real vehicles through Smartcar's API v2.0", Example: "smartcar",
		Starts: []vehicle.Start{{
			Name: "smartcar", Doc: "vehicles that your application at Smartcar may read, through its API v2.0", Source: "smartcar",
			Questions: []vehicle.Question{{Key: "client_id", Ask: "your application's client id at Smartcar"},
				{Key: "client_secret_file", Ask: "a file with the application's client secret"}},
			Section: `type: smartcar
client_id: {client_id}
client_secret_file: {client_secret_file}
`,
			Then: []string{"plugbeat vehicle connect --source {name}"},
		}},
		Reference: vehicle.BudgetReference + reference,
		Settings: func() vehicle.Settings {
			return &Settings{
				Budget: vehicle.Budget{Per: vehicle.PerMonth}, Mode: vehicle.ModeLive, Bucket: 120, BucketRefill: 30 * time.Second,
				APIOrigin: DefaultAPIOrigin, AuthOrigin: DefaultAuthOrigin, ConnectOrigin: DefaultConnectOrigin,
			}
		},
	}
}

// Check implements [vehicle.Settings].
func (s *Settings) Check() []vehicle.Complaint {
	wrong := s.Budget.Check()
	add := func(setting, value, why, allowed string) {
		wrong = append(wrong, vehicle.Complaint{Setting: setting, Value: value, Why: why, Allowed: allowed})
	}
	if s.Bucket > 0 && s.Bucket < 3 {
		add("bucket", fmt.Sprint(s.Bucket), "a read of a vehicle is three calls", "0 for no bound, or a whole number from 3 to 1000000")
	}
	const origin = "an absolute https URL without path, or http to this machine"
	for _, e := range append(s.Endpoints(), vehicle.Endpoint{Setting: "connect_origin", URL: s.ConnectOrigin}) {
		switch c := vehicle.CheckURL(e.Setting, e.URL, origin); {
		case c != nil:
			wrong = append(wrong, *c)
		case strings.HasPrefix(strings.ToLower(e.URL), "http:") && !loopback(e.URL):
			add(e.Setting, e.URL, "tokens would go over the network in the clear", origin)
		case hasPath(e.URL):
			add(e.Setting, e.URL, "it has a path or a query", origin)
		}
	}
	if s.RedirectURI != "" {
		if c := vehicle.CheckURL("redirect_uri", s.RedirectURI, "an absolute http or https URI without fragment, or nothing"); c != nil {
			wrong = append(wrong, *c)
		}
	}
	if strings.TrimSpace(s.ClientID) == "" {
		add("client_id", s.ClientID, "it is empty", "your application's client id at Smartcar")
	}
	return wrong
}

// hasPath reports whether there is more to the URL than its origin.
func hasPath(s string) bool {
	u, err := url.Parse(s)
	return err != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery
}

// loopback reports whether the URL's host is this machine.
func loopback(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
}

// Endpoints implements [vehicle.Endpoints]. Owners go to the connect origin, plugbeat
// does not.
func (s *Settings) Endpoints() []vehicle.Endpoint {
	return []vehicle.Endpoint{{Setting: "api_origin", URL: s.APIOrigin}, {Setting: "auth_origin", URL: s.AuthOrigin}}
}

// Open implements [vehicle.Settings].
func (s *Settings) Open(_ context.Context, d vehicle.Deps) (vehicle.Source, error) {
	secret, err := d.Secret("client_secret_file")
	if err != nil {
		return nil, err
	}
	redirect := s.RedirectURI
	if redirect == "" {
		redirect = d.CallbackURL
	}
	client := d.Client(s.Endpoints()...)
	client.Timeout = Timeout
	src, err := New(Options{
		APIOrigin: s.APIOrigin, AuthOrigin: s.AuthOrigin, ConnectOrigin: s.ConnectOrigin,
		RedirectURI: redirect, ReconnectURL: d.ReconnectURL,
		ClientID: s.ClientID, ClientSecret: secret, Mode: s.Mode, Tokens: d.Tokens, HTTPClient: client,
		Budget: s.Budget, Bucket: vehicle.Bucket{Size: s.Bucket, Refill: s.BucketRefill}, Log: d.Log,
	})
	if err != nil {
		return nil, err
	}
	return src, nil
}

// Allowance implements [vehicle.Metering]: Smartcar counts every call.
func (s *Source) Allowance() vehicle.Allowance {
	return vehicle.Allowance{Metered: true, Budget: s.opts.Budget, Bucket: s.opts.Bucket}
}
