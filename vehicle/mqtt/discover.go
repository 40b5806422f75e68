package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// Discover implements [vehicle.Discoverer] over a connection of its own.
func (s *Settings) Discover(ctx context.Context, d vehicle.Deps, listen time.Duration) (vehicle.Discovery, error) {
	empty := *s
	empty.Vehicles = nil
	src, err := empty.Open(ctx, d)
	if err != nil {
		return vehicle.Discovery{}, err
	}
	c := &connection{Source: src.(*Source)}
	found, err := c.discover(ctx, listen)
	if err != nil {
		p, _ := problemOf(err, c.Source)
		return vehicle.Discovery{}, fmt.Errorf("%s: %s", p.Text, p.Remedy)
	}
	found.Offers = c.finder.Offers(s.Vehicles)
	found.Section = s.section(d.Name, found.Offers)
	return found, nil
}

// Mark implements [vehicle.Discoverer].
func (s *Settings) Mark(offers []vehicle.Offer) { mapping.Mark(offers, s.Vehicles) }

// discover listens on the topics of every preset.
func (c *connection) discover(ctx context.Context, listen time.Duration) (found vehicle.Discovery, err error) {
	c.finder = mapping.NewFinder()
	found.Server = c.broker.Host
	var mu sync.Mutex // over what the connection's goroutine notes
	ended := make(chan error, 2)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	limit, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := c.dial(limit, autopaho.ClientConfig{}, c.broker)
	if err != nil {
		return found, err
	}
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn, ClientID: "plugbeat-" + uuid.NewString()[:13],
		OnClientError: end, OnServerDisconnect: func(d *paho.Disconnect) { end(&sentAwayError{d.ReasonCode}) },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			found.Messages++
			c.finder.Take(p.Packet.Topic, p.Packet.Payload, time.Now().UTC())
			return true, nil
		}},
	})
	hello := &paho.Connect{KeepAlive: keepAlive, Username: c.settings.Username, UsernameFlag: c.settings.Username != "",
		Password: c.password, PasswordFlag: len(c.password) > 0}
	if hello, err = ask(hello, c.broker); err != nil {
		return found, err
	}
	answer, err := client.Connect(limit, hello)
	if err != nil {
		_ = conn.Close()
		if answer != nil {
			return found, autopaho.NewConnackError(err, answer)
		}
		return found, err
	}
	defer func() {
		_ = client.Disconnect(&paho.Disconnect{})
		_ = conn.Close()
		<-client.Done()
	}()
	if err := c.listen(limit, client); err != nil {
		return found, err
	}
	wait := time.NewTimer(listen)
	defer wait.Stop()
	select {
	case <-wait.C:
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	mu.Lock()
	defer mu.Unlock()
	return vehicle.Discovery{Server: found.Server, Messages: found.Messages}, err
}

// listen subscribes to the topics of every preset, those that the broker denies left out.
func (c *connection) listen(ctx context.Context, client *paho.Client) error {
	topics := c.finder.Topics()
	err := subscribe(ctx, topics, client)
	if denied, ok := errors.AsType[*deniedError](err); ok && len(denied.topics) < len(topics) {
		return nil
	}
	return err
}

// section is the part of the config that reads what no map has yet: the whole source where it
// has no vehicle, else the vehicles to add.
func (s *Settings) section(name string, offers []vehicle.Offer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "sources:\n  %s:\n", name)
	if len(s.Vehicles) == 0 {
		b.WriteString("    type: mqtt\n")
		for _, p := range [][2]string{{"broker", s.Broker}, {"username", s.Username}, {"password_file", s.PasswordFile}, {"ca_file", s.CAFile},
			{"cert_file", s.CertFile}, {"key_file", s.KeyFile}} {
			if p[1] != "" {
				fmt.Fprintf(&b, "    %s: %s\n", p[0], mapping.Scalar(p[1]))
			}
		}
		b.WriteString("    vehicles:\n")
	} else {
		b.WriteString("    vehicles:    # add these to the ones that are there\n")
	}
	some := false
	for _, o := range offers {
		if o.Mapped != "" {
			continue
		}
		some = true
		note := o.Preset + " tells " + strings.Join(o.Tells, ", ")
		if o.Make == "" {
			note += "; add its make, such as make: RENAULT"
		}
		fmt.Fprintf(&b, "      # %s\n      - %s\n", note, o.Map)
	}
	if !some {
		return ""
	}
	return b.String()
}
