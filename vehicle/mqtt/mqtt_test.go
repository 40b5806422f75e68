package mqtt

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
	"plugbeat/vehicle/sourcetest"
)

// TestSource runs the conformance suite over a real broker.
func TestSource(t *testing.T) {
	t.Parallel() // it waits more than it works
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		b := startBroker(t)
		for topic, payload := range map[string]string{"plug": "true", "charging": "false", "soc": "61", "place": `{"lat":52.5,"lon":13.4}`} {
			b.publish("leaf/"+topic, payload, "-r")
		}
		s := Settings{Broker: "mqtt://127.0.0.1:" + b.port, Vehicles: []mapping.Vehicle{leaf}}
		src, err := s.Open(t.Context(), deps(t))
		if err != nil {
			t.Fatal(err)
		}
		vs, _ := src.(*Source).List(t.Context())
		id := vs[0].ID
		return sourcetest.Harness{
			Source: src, Ref: vehicle.Ref{ID: id}, Plug: vehicle.PluggedIn, Unknown: vehicle.Ref{},
			Change: func() {
				b.publish("leaf/plug", "false", "-r")
				time.Sleep(1100 * time.Millisecond) // a second word, a second later
				b.publish("leaf/plug", "false", "-r")
			},
			Reopen: func(known vehicle.Known) vehicle.Source {
				again, err := s.Open(t.Context(), deps(t, known))
				if err != nil {
					t.Fatal(err)
				}
				return again
			},
		}
	})
}

// TestBrokerComesBack: values stay over a kill and a restart of a broker without
// persistence, and go on.
func TestBrokerComesBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	b := startBroker(t)
	o := open(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port})
	eventually(t, "connected", func() bool { return !o.connectedSince().IsZero() })
	b.publish("leaf/plug", "true")
	eventually(t, "plugged in", func() bool { return o.read().Charge.OK })
	before := o.read().Charge
	b.kill()
	o.problem(t, "unreachable")
	if got := o.read().Charge; got.Value != before.Value || got.DataAge != before.DataAge {
		t.Errorf("%+v, before %+v", got, before)
	}
	b.start()
	eventually(t, "no problem", func() bool { return len(o.Problems(time.Now())) == 0 })
	b.publish("leaf/soc", "50")
	eventually(t, "a level", func() bool { return o.read().Battery.OK })
	if o.hinted() != 1 {
		t.Errorf("%d hints of one plug-in", o.hinted())
	}
}

func (o *opened) connectedSince() time.Time {
	o.Source.mu.Lock()
	defer o.Source.mu.Unlock()
	return o.trouble.connected
}

// TestSentences: each way in which a broker does not serve us has a sentence of its own.
func TestSentences(t *testing.T) {
	t.Parallel() // it waits more than it works
	t.Run("password", func(t *testing.T) {
		b := newBroker(t, "allow_anonymous false", "password_file DIR/passwd")
		passwd := b.file("passwd", "")
		if out, err := exec.Command("mosquitto_passwd", "-b", passwd, "plugbeat", "another").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b.start()
		url := "mqtt://127.0.0.1:" + b.port
		if p := open(t, Settings{Broker: url, Username: "plugbeat", PasswordFile: "x"}).problem(t, "login_refused"); !strings.Contains(p.Text, `refuses the user "plugbeat"`) {
			t.Error(p)
		}
		if p := open(t, Settings{Broker: url}).problem(t, "login_refused"); !strings.Contains(p.Text, "without a user") {
			t.Error(p)
		}
	})
	t.Run("an ACL that drops in silence", func(t *testing.T) {
		b := newBroker(t, "allow_anonymous true", "acl_file DIR/acl")
		b.file("acl", "topic read other/#\n")
		b.start()
		o := open(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port})
		eventually(t, "connected", func() bool { return !o.connectedSince().IsZero() })
		ps := o.Problems(time.Now().Add(time.Minute))
		if len(ps) != 1 || ps[0].Code != "nothing_arrives" || !strings.Contains(ps[0].Text, "leaf/") {
			t.Errorf("%+v", ps)
		}
	})
	t.Run("a certificate of another", func(t *testing.T) {
		b := startTLSBroker(t, "DNS:broker.example")
		url := "mqtts://127.0.0.1:" + b.port
		open(t, Settings{Broker: url}).problem(t, "wrong_certificate")
		if p := open(t, Settings{Broker: url, CAFile: filepath.Join(b.dir, "ca.pem")}).problem(t, "wrong_certificate"); !strings.Contains(p.Text, "127.0.0.1") {
			t.Error(p)
		}
	})
	t.Run("a certificate that is right", func(t *testing.T) {
		b := startTLSBroker(t, "IP:127.0.0.1")
		o := open(t, Settings{Broker: "mqtts://127.0.0.1:" + b.port, CAFile: filepath.Join(b.dir, "ca.pem")})
		eventually(t, "connected", func() bool { return !o.connectedSince().IsZero() })
	})
	t.Run("TLS at a plain port", func(t *testing.T) {
		b := startBroker(t)
		open(t, Settings{Broker: "mqtts://127.0.0.1:" + b.port}).problem(t, "not_a_broker")
	})
	t.Run("plain at a TLS port", func(t *testing.T) {
		b := startTLSBroker(t, "IP:127.0.0.1")
		open(t, Settings{Broker: "mqtt://127.0.0.1:" + b.port}).problem(t, "not_a_broker")
	})
	for name, answer := range map[string]struct{ bytes, code string }{
		"MQTT 3.1.1 only":   {"\x20\x02\x00\x01", "mqtt5_missing"},
		"an HTTP server":    {"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n400 Bad Request", "not_a_broker"},
		"256 MiB announced": {"\x20\xff\xff\xff\x7f", "not_a_broker"},
		"another end":       {"", "not_a_broker"},
	} {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, answer.bytes)
			open(t, Settings{Broker: url}).problem(t, answer.code)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		open(t, Settings{Broker: "mqtt://" + address}).problem(t, "unreachable")
	})
}

// rawServer answers every connection's first bytes with these, 5 ms later, and hangs up.
func rawServer(t *testing.T, answer string) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = c.Read(make([]byte, 1024))
				time.Sleep(5 * time.Millisecond) // latency
				_, _ = c.Write([]byte(answer))
			}()
		}
	}()
	return "mqtt://" + l.Addr().String()
}

// startTLSBroker starts a broker with a certificate for the name, signed by ca.pem.
func startTLSBroker(t *testing.T, name string) *broker {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: it makes the broker's certificate")
	}
	b := newBroker(t, "allow_anonymous true", "certfile DIR/cert.pem", "keyfile DIR/key.pem")
	return b.remade(name)
}

// TestOnlyReads: the package has no way to publish.
func TestOnlyReads(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		looked++
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && (strings.HasPrefix(id.Name, "Publish") && id.Name != "PublishReceived" || strings.HasPrefix(id.Name, "WillMessage")) {
				t.Errorf("%s speaks of %s", name, id.Name)
			}
			return true
		})
	}
	if looked < 4 {
		t.Errorf("%d files looked at", looked)
	}
}

// TestCheck holds what is said of wrong settings.
func TestCheck(t *testing.T) {
	vs := []mapping.Vehicle{leaf}
	for name, c := range map[string]struct {
		s       Settings
		want    string
		warning bool
	}{
		"no broker":                          {Settings{Vehicles: vs}, "mqtt://HOST:PORT", false},
		"another scheme":                     {Settings{Broker: "http://b", Vehicles: vs}, "mqtt://HOST:PORT", false},
		"a password in it":                   {Settings{Broker: "mqtt://u:p@b", Vehicles: vs}, "settings of their own", false},
		"a path":                             {Settings{Broker: "mqtt://b/topic", Vehicles: vs}, "more than a host", false},
		"a port that is none":                {Settings{Broker: "mqtt://b:99999", Vehicles: vs}, "from 1 to 65535", false},
		"a plain password to the internet":   {Settings{Broker: "mqtt://9.9.9.9", Username: "u", PasswordFile: "p", Vehicles: vs}, "as it is", false},
		"a plain password in one's network":  {Settings{Broker: "mqtt://192.168.1.2", Username: "u", PasswordFile: "p", Vehicles: vs}, "as it is", true},
		"a plain password to a name":         {Settings{Broker: "mqtt://b", Username: "u", PasswordFile: "p", Vehicles: vs}, "as it is", true},
		"plain to the internet":              {Settings{Broker: "mqtt://9.9.9.9", Vehicles: vs}, "on the way", true},
		"a password without a user":          {Settings{Broker: "mqtts://b", PasswordFile: "p", Vehicles: vs}, "username", false},
		"half a client certificate":          {Settings{Broker: "mqtts://b", CertFile: "p", Vehicles: vs}, "cert_file and key_file", false},
		"no vehicles":                        {Settings{Broker: "mqtts://b"}, "source discover finds", true},
		"a vehicle's map is held to as well": {Settings{Broker: "mqtts://b", Vehicles: []mapping.Vehicle{{ID: "x", Preset: "nix"}}}, "vehicles[0].preset", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.s.Check()
			if len(got) != 1 || !strings.Contains(fmt.Sprint(got), c.want) || got[0].Warning != c.warning {
				t.Errorf("%+v, want %q, warning %v", got, c.want, c.warning)
			}
		})
	}
}

// TestFilesOfCertificates: what is no file is refused, and nobody waits for the writer of a pipe.
func TestFilesOfCertificates(t *testing.T) {
	for name, s := range map[string]Settings{"ca_file": {CAFile: "/dev/zero"}, "cert_file": {CertFile: "/dev/zero", KeyFile: "x"}, "key_file": {CertFile: "x", KeyFile: "/dev"}} {
		if _, err := s.tls("b"); err == nil || !strings.Contains(err.Error(), name+": /dev") || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// remade starts the broker with a certificate.
func (b *broker) remade(name string) *broker {
	b.file("ext", "subjectAltName="+name+"\n")
	for _, line := range []string{
		"openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2",
		"openssl req -newkey rsa:2048 -nodes -keyout key.pem -out csr.pem -subj /CN=broker",
		"openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile ext",
	} {
		args := strings.Fields(line)
		cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // a test's
		cmd.Dir = b.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			b.t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	for _, f := range []string{"key.pem", "ca.key"} {
		_ = os.Chmod(filepath.Join(b.dir, f), 0o644) //nolint:gosec // the broker reads it
	}
	b.start()
	return b
}
