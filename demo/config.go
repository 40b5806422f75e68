package demo

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"plugbeat/config"
)

// managementToken is the demo's application management token; nothing outside the demo
// knows it.
const managementToken = "demo-application-management-token"

// configText is what the demo's daemon runs with; its one hole is the fleet's URL.
const configText = `# The config of plugbeat's demo, before its delays were shortened.
data_dir: data
key_file: sealing_key
http:
  api: {listen: "127.0.0.1:0"}
  admin: {listen: "127.0.0.1:0"}
application:
  management_token_file: management_token
sources:
  smartcar:
    type: smartcar
    client_id: simulator
    client_secret_file: client_secret
    mode: simulated
    api_origin: %[1]s
    auth_origin: %[1]s
    bucket: 0    # this vendor has no limit
`

// configure writes the demo's config into its folder, loads it as serve does, and
// shortens its delays: an hour becomes seconds in the config, not in the code.
func (d *demo) configure(upstream string) error {
	data := filepath.Join(d.dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	files := map[string]string{
		"config.yaml":      fmt.Sprintf(configText, upstream),
		"sealing_key":      string(config.NewSealingKey()) + "\n",
		"management_token": managementToken + "\n",
		"client_secret":    "simulator-secret\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	cfg, err := config.Load(filepath.Join(d.dir, "config.yaml"))
	if err != nil {
		return fmt.Errorf("the demo's config: %w", err)
	}
	d.show.unplugged, d.show.pluggedIn = cfg.Cadence.Unplugged, cfg.Cadence.PluggedIn
	d.cfg = shortened(cfg, float64(time.Hour)/float64(d.hour))
	return nil
}

// leastWait bounds what the waits for an answer are shortened to: sockets and readers do
// not get faster because the demo's clock does.
const leastWait = 2 * time.Second

// shortened is the config with the delays of cadence, reading, delivery and retention divided
// by the factor, and the floor of the cadence with them.
func shortened(c config.Config, factor float64) config.Config {
	short := func(d *time.Duration) {
		if *d > 0 {
			*d = max(time.Duration(float64(*d)/factor).Round(time.Millisecond), time.Millisecond)
		}
	}
	shortText := func(text *string) {
		if d, err := time.ParseDuration(*text); err == nil { // a cron expression stays
			short(&d)
			*text = d.String()
		}
	}
	short(&c.Floor)
	shortText(&c.Cadence.Unplugged)
	shortText(&c.Cadence.PluggedIn)
	for _, d := range []*time.Duration{
		&c.Cadence.Gap, &c.Cadence.Freshness, &c.Cadence.UnknownAfter, &c.Cadence.ClockBack,
		&c.Delivery.ChallengeAfter, &c.Retention.Payloads, &c.Retention.Records,
	} {
		short(d)
	}
	c.Cadence.Makes = maps.Clone(c.Cadence.Makes)
	for name, m := range c.Cadence.Makes {
		short(&m.Fastest)
		short(&m.Unplugged)
		c.Cadence.Makes[name] = m
	}
	c.Delivery.Retries = append(config.RetrySchedule{}, c.Delivery.Retries...)
	for i := range c.Delivery.Retries {
		short(&c.Delivery.Retries[i])
	}
	for _, d := range []*time.Duration{&c.Delivery.Timeout, &c.Reading.Time} {
		least := min(*d, leastWait)
		short(d)
		*d = max(*d, least)
	}
	c.Delivery.RecoverRate = int(min(float64(c.Delivery.RecoverRate)*factor, 10000))
	return c
}
