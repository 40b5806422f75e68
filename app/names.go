package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"

	"plugbeat/egress"
)

// mdnsTime bounds how long machines of the local network may take to answer for a name.
// The question is asked again every second; a machine that saves power takes one or two.
const mdnsTime = 3 * time.Second

// LookupHost returns the addresses of a host's name, by the name service of the system
// and, for a name under .local, by mDNS too.
func LookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	if egress.IsLocal(host) {
		return lookupLocal(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// lookupLocal asks the system's name service and mDNS at once, and takes the first
// answer that has an address. The static binary's resolver knows DNS and /etc/hosts
// alone.
func lookupLocal(ctx context.Context, host string) ([]netip.Addr, error) {
	return firstOf(ctx, host, func(ctx context.Context) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}, func(ctx context.Context) ([]netip.Addr, error) {
		return lookupMulticast(ctx, host)
	})
}

type names func(ctx context.Context) ([]netip.Addr, error)

// firstOf returns the first addresses that either has. Where neither has one, the silence
// of mDNS decides, and DNS is not waited for longer; where mDNS could not even ask, what
// DNS said does.
func firstOf(ctx context.Context, host string, dns, multicast names) ([]netip.Addr, error) {
	type answer struct {
		addresses []netip.Addr
		err       error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := [2]chan answer{}
	for i, ask := range []names{dns, multicast} {
		answers[i] = make(chan answer, 1)
		go func() {
			found, err := ask(ctx)
			answers[i] <- answer{found, err}
		}()
	}
	var byDNS, byMulticast *answer
	for {
		select {
		case a := <-answers[0]:
			byDNS = &a
			if len(a.addresses) > 0 {
				return a.addresses, nil
			}
		case a := <-answers[1]:
			byMulticast = &a
			if len(a.addresses) > 0 {
				return a.addresses, nil
			}
		}
		switch {
		case byMulticast == nil:
		case errors.Is(byMulticast.err, errSilence):
			return nil, noSuchLocal(host, byMulticast.err)
		case byDNS == nil:
		case isNotFound(byDNS.err):
			return nil, noSuchLocal(host, byMulticast.err)
		default:
			return nil, byDNS.err
		}
	}
}

func isNotFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// noSuchLocal says what works where mDNS does not.
func noSuchLocal(host string, err error) error {
	return &net.DNSError{Name: host, IsNotFound: true, Err: fmt.Sprintf("no such host by DNS, and by mDNS %v; "+
		"mDNS does not pass a container's bridge: there use host networking, a name in your DNS, or an address", err)}
}

var errSilence = errors.New("no machine of this network answers to it")

// lookupMulticast asks the machines of the local networks for a name's IPv4 address. Each
// lookup has sockets of its own, so that networks may come and go.
func lookupMulticast(ctx context.Context, host string) ([]netip.Addr, error) {
	on, err := multicastInterfaces()
	if err != nil {
		return nil, err
	}
	socket, err := listenMulticast(ctx)
	if err != nil {
		return nil, err
	}
	c, err := mdns.NewServer(ipv4.NewPacketConn(socket), nil, mdns.WithInterfaces(on...), mdns.WithCacheRefresh(false))
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	defer func() { _ = c.Close() }()
	asking, cancel := context.WithTimeout(ctx, mdnsTime)
	defer cancel()
	_, found, err := c.QueryAddr(asking, strings.TrimSuffix(host, "."))
	if err != nil {
		return nil, errSilence
	}
	return []netip.Addr{found.Unmap()}, nil
}

// listenMulticast listens where answers to everybody come. A machine of which another
// program has that port to itself hears only answers that are for plugbeat alone.
func listenMulticast(ctx context.Context) (net.PacketConn, error) {
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: 5353}
	if socket, err := net.ListenUDP("udp4", group); err == nil {
		return socket, nil
	}
	return (&net.ListenConfig{}).ListenPacket(ctx, "udp4", ":0")
}

// multicastInterfaces are the networks that can be asked. Without any the question cannot
// leave.
func multicastInterfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var on []net.Interface
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0 {
			on = append(on, i)
		}
	}
	if len(on) == 0 {
		return nil, errors.New("this machine has no network to ask")
	}
	return on, nil
}
