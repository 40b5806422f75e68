package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Retired is a setting, or a value of one, that earlier versions had.
type Retired struct {
	// Path is dotted, as that of a [Setting].
	Path string
	// Value is an example of the value that left. It is empty where the whole setting left.
	Value string
	// Became says what holds instead, and what to do with the line.
	Became string
}

const (
	recoverPath   = "delivery.recover"
	recoverByTime = "recovery by time has left: choose all, latest or none; plugbeat delivery resend --since sends a part of the past again"
)

// RetiredSettings lists what has left. A file that still has one of these settings is refused
// with the text of Became.
func RetiredSettings() []Retired {
	const (
		fixed   = "; that is fixed now: delete the line"
		instead = ": set that instead, and delete the line"
	)
	return []Retired{
		{Path: "sources.NAME.bucket_counts", Became: "each path of a batch counts as a call" + fixed},
		{Path: "cadence.max_sleep", Became: "the clock is looked at every 30 seconds" + fixed},
		{Path: "cadence.first_delivery", Became: "the first delivery goes out at once on subscribing" + fixed},
		{Path: "cadence.unknown_after", Became: "a plug that cannot be read keeps its last known state for 24 hours" + fixed},
		{Path: "cadence.clock_back", Became: "due times are set anew when the clock goes back by more than a minute" + fixed},
		{Path: "reading.time", Became: "no try begins later than 2 minutes after the first" + fixed},
		{Path: "retention.min_free", Became: "plugbeat warns when less than 256 MiB, or a tenth of a smaller disk, are free" + fixed},
		{Path: "reading.backoff", Became: "the second try comes 2 seconds after the first, and each later wait is five times as long" + fixed},
		{Path: "reading.read_time", Became: "a source has 5m10s to answer" + fixed},
		{Path: "reading.source_pause", Became: "a source rests for a minute after a rate limit that does not say for how long" + fixed},
		{Path: "reading.max_reads", Became: "each source has a max_reads of its own, 8 by default" + instead},
		{Path: "delivery.jitter", Became: "each wait is lengthened by up to 20 %, at most 10 minutes" + fixed},
		{Path: "delivery.jitter_max", Became: "a wait is lengthened by at most 10 minutes" + fixed},
		{Path: "delivery.body_time", Became: "the body of an answer is read for at most 2 seconds" + fixed},
		{Path: "delivery.body_bytes", Became: "the first 512 bytes of an answer's body are kept" + fixed},
		{Path: "delivery.trial_size", Became: "an open circuit breaker sends one probe at each step of the retry schedule" + fixed},
		{Path: "delivery.early_max", Became: "an open circuit breaker sends nothing but its probes" + fixed},
		{Path: "delivery.own_fault_wait", Became: "a fault of this machine's own has the delivery tried again after 10 seconds" + fixed},
		{Path: "delivery.own_fault_max", Became: "the wait after a fault of this machine's own stays 10 seconds" + fixed},
		{Path: "delivery.challenge", Became: "delivery.challenge_after gives all times of challenges: set that instead, and delete the section"},
		{Path: "delivery.challenge.from", Became: "challenges go out while the next probe is more than delivery.challenge_after away" + instead},
		{Path: "delivery.challenge.after", Became: "the first ones come after once, twice and four times delivery.challenge_after" + instead},
		{Path: "delivery.challenge.every", Became: "later ones come every four times delivery.challenge_after, hourly by default" + instead},
		{Path: "delivery.challenge.heal_window", Became: "the wait for a challenge doubles when the probe after a right answer fails" + fixed},
		{Path: "delivery.challenge.max", Became: "the wait grows to 96 times delivery.challenge_after, 24 hours by default" + instead},
		{Path: "retention.every", Became: "what is kept too long is looked for every 10 minutes" + fixed},
		{Path: recoverPath, Value: "24h", Became: recoverByTime},
	}
}

// RetiredSetting returns what became of the setting at the dotted path, which has the name of a
// source where the table has NAME. It reports false for a setting that did not leave.
func RetiredSetting(path string) (Retired, bool) {
	for _, r := range RetiredSettings() {
		if r.Value == "" && samePath(r.Path, path) {
			return r, true
		}
	}
	return Retired{}, false
}

func samePath(pattern, path string) bool {
	keys, wanted := strings.Split(path, "."), strings.Split(pattern, ".")
	if len(keys) != len(wanted) {
		return false
	}
	for i, key := range wanted {
		if key != anyName && key != keys[i] {
			return false
		}
	}
	return true
}

// retired complains about a setting that left, with what became of it; of a heading that left,
// about each setting below it. allowed are the keys that stand beside the setting. It reports
// false for a setting that did not leave.
func (r reader) retired(n *yaml.Node, at string, allowed []string) bool {
	gone, ok := RetiredSetting(at)
	if !ok {
		return false
	}
	whole := n.Kind != yaml.MappingNode || len(n.Content) == 0
	if n.Kind == yaml.MappingNode {
		r.pairs(n, at, func(key string, val *yaml.Node) bool {
			whole = !r.retired(val, join(at, key), allowed) || whole
			return true
		})
	}
	if whole {
		r.add(at, at[strings.LastIndexByte(at, '.')+1:], gone.Became, strings.Join(allowed, ", "))
	}
	return true
}

// isDuration reports whether the text is a duration, such as 24h.
func isDuration(s string) bool {
	_, err := parseDuration(s)
	return err == nil
}
