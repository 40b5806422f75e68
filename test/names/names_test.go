// Package names tests that the static binary resolves names under .local, as its packages
// have it, over real multicast in a network of the test's own.
package names

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"

	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
)

const (
	// inside is set in the process whose network is the test's own.
	inside = "PLUGBEAT_TEST_NAMES"
	here   = "10.77.0.1"
)

// alone runs a test again in a network of its own, with commands of its setting-up, and
// reports whether this is that run.
func alone(t *testing.T, setup string) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return true
	}
	t.Parallel() // each has a network of its own
	namespace := []string{"-n"}
	if os.Getuid() != 0 {
		namespace = []string{"-r", "-n"}
	}
	if err := exec.Command("unshare", append(namespace, "sh", "-c", setup)...).Run(); err != nil {
		t.Skip("this machine gives no network of one's own: ", err)
	}
	daemon.Binary(t)
	cmd := exec.Command("unshare", append(namespace, "sh", "-c", setup+` && exec "$0" "$@"`,
		os.Args[0], "-full", "-test.v", "-test.run", "^"+t.Name()+"$")...)
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("it did not run:\n%s", out)
	}
	t.Logf("%s", out)
	return false
}

const network = "ip link set lo up && ip link add pb0 type veth peer name pb1 && ip addr add " + here +
	"/24 dev pb0 && ip link set pb0 up && ip link set pb1 up"

// respond answers mDNS questions for names as RFC 6762 section 6.7 has it where the
// question comes from another port than 5353, or to everybody; each answer takes a while.
func respond(t *testing.T, latency time.Duration, toEverybody map[string]bool) {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	on, err := net.InterfaceByName("pb0")
	if err != nil {
		t.Fatal(err)
	}
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	packets := ipv4.NewPacketConn(socket)
	if err := packets.JoinGroup(on, group); err != nil {
		t.Fatal(err)
	}
	if err := packets.SetMulticastInterface(on); err != nil {
		t.Fatal(err)
	}
	go func() {
		b := make([]byte, 9000)
		for {
			n, from, err := socket.ReadFrom(b)
			if err != nil {
				return
			}
			var asked dnsmessage.Message
			if asked.Unpack(b[:n]) != nil || asked.Response || len(asked.Questions) != 1 {
				continue
			}
			q := asked.Questions[0]
			everybody, known := toEverybody[q.Name.String()]
			if !known || q.Type != dnsmessage.TypeA {
				continue
			}
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: asked.ID, Response: true, Authoritative: true},
				Answers: []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 10},
					Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(here).To4())},
				}}}
			to := from
			if everybody {
				answer.ID, answer.Answers[0].Header.Class, to = 0, dnsmessage.ClassINET|1<<15, group
			} else {
				answer.Questions = asked.Questions
			}
			packed, err := answer.Pack()
			if err != nil {
				t.Error(err)
				return
			}
			time.AfterFunc(latency, func() { _, _ = socket.WriteTo(packed, to) })
		}
	}()
}

// lan serves at an address of the network, and returns its port.
func lan(t *testing.T, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp4", here+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// A callback, a source and an alert at names that mDNS alone knows. No DNS answers.
func TestLocalNames(t *testing.T) {
	if !alone(t, network) {
		return
	}
	respond(t, 150*time.Millisecond, map[string]bool{"hass.local.": false, "chat.local.": true})
	told := make(chan string, 16)
	chat := lan(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { told <- r.Host }))
	d := daemon.New(t, func(config string) string {
		return daemon.Ports(config) + "alerts:\n  chat: {url: \"http://chat.local:" + chat + "/\", template: json, allow_private: true}\n"
	})
	hass := lan(t, receiver.New(d.ManagementToken()))
	d.Start()
	callback := []string{"webhook", "add", "--name", "app", "--callback", "http://hass.local:" + hass + "/hook"}
	if _, stderr, code := d.Run(callback...); code != 2 || !strings.Contains(stderr, here) || !strings.Contains(stderr, "--allow-private") {
		t.Errorf("without consent: exit code %d, %s; want the address named", code, stderr)
	}
	d.Must(append(callback, "--allow-private")...)
	if out := d.Must("webhook", "verify", "app"); !strings.Contains(out, "verified") {
		t.Errorf("got %s; want it verified", out)
	}
	if out := d.Must("alert", "test", "chat"); len(told) == 0 {
		t.Errorf("the alert did not arrive: %s", out)
	}
	out, _, _ := d.Run("doctor")
	if !strings.Contains(out, "hass.local:"+hass+" answers") {
		t.Errorf("doctor says\n%s", out)
	}
}

// Where nobody of the network has that name, or no multicast passes, as in a container's
// bridge, the text says what works.
func TestNobody(t *testing.T) {
	long.Test(t)
	if !alone(t, network) {
		return
	}
	d := daemon.New(t, func(config string) string { return daemon.Ports(config) })
	d.Start()
	d.Must("webhook", "add", "--name", "app", "--callback", "http://hass.local:8123/hook", "--allow-private")
	_, verify, _ := d.Run("webhook", "verify", "app")
	doctor, _, _ := d.Run("doctor")
	for _, got := range []string{verify, doctor} {
		for _, want := range []string{"hass.local", "mDNS", "host networking", "a name in your DNS", "an address"} {
			if !strings.Contains(got, want) {
				t.Errorf("got %s\nwant %q in it", got, want)
			}
		}
	}
}

// A machine that has no network, as no name server either, says of its own trouble, as for
// any name; doctor too.
func TestNoNetwork(t *testing.T) {
	if !alone(t, "ip link set lo up") {
		return
	}
	d := daemon.New(t, func(config string) string { return daemon.Ports(config) })
	d.Start()
	d.Must("webhook", "add", "--name", "app", "--callback", "http://hass.local:8123/hook", "--allow-private")
	_, stderr, code := d.Run("webhook", "verify", "app")
	if code == 0 || !strings.Contains(stderr, "no resolver answers") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
