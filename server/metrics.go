package server

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Metrics counts what happens and what nobody else keeps: durations, lateness,
// faults, attempts, commits. It is the meter of the scheduler, of the delivery
// loop and of the store. What they keep themselves (ledgers, queues, sizes) is
// read when somebody scrapes (metrics_scrape.go). docs/metrics.md lists all.
//
// Its series are bounded: labels are the names of the configured sources, the ids
// of the webhooks there are, and closed sets.
type Metrics struct {
	registry *prometheus.Registry

	readDuration *prometheus.HistogramVec
	readLate     *prometheus.HistogramVec
	producedLate *prometheus.HistogramVec
	paths        *prometheus.CounterVec
	faults       *prometheus.CounterVec

	requests   *prometheus.CounterVec
	answerTime *prometheus.HistogramVec

	commitDuration prometheus.Histogram
	groupSize      prometheus.Histogram
	commitFailures prometheus.Counter

	mu    sync.RWMutex
	hooks map[uuid.UUID]*hookMetrics
}

// The bounds of the histograms, in seconds unless they count.
var (
	lateBounds    = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600}
	readBounds    = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	attemptBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 20}
	commitBounds  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}
	groupBounds   = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}
)

// listener is where a request came in.
type listener string

const (
	apiListener    listener = "api"
	adminListener  listener = "admin"
	socketListener listener = "socket"
)

// classes are the first digits of statuses, as they are shown; the first stands for a
// request whose caller was gone before an answer began.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// otherType stands for a fault of a type that Smartcar v2.0 does not have.
const otherType = "OTHER"

// NewMetrics returns metrics at nought for the configured sources.
func NewMetrics(v adminapi.Version, sources []string) *Metrics {
	histogram := func(name, help string, bounds []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}
	}
	bySource := []string{"source"}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		hooks:    map[uuid.UUID]*hookMetrics{},
		readDuration: prometheus.NewHistogramVec(histogram("plugbeat_source_read_duration_seconds",
			"How long a source took to answer a call.", readBounds), bySource),
		readLate: prometheus.NewHistogramVec(histogram("plugbeat_scheduler_read_lateness_seconds",
			"How long after a subscription was due the first call for it began.", lateBounds), bySource),
		producedLate: prometheus.NewHistogramVec(histogram("plugbeat_scheduler_produced_lateness_seconds",
			"How long after a subscription was due its delivery was committed.", lateBounds), bySource),
		paths: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "plugbeat_source_paths_total",
			Help: "Paths asked for in calls of a source, which is what a metered vendor counts."}, bySource),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "plugbeat_source_faults_total",
			Help: "Paths that came back without a value, by the type of their fault."}, []string{"source", "type"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "plugbeat_http_requests_total",
			Help: "Requests to plugbeat, by where they came in and the class of the status they were answered with."}, []string{"listener",
			"status"}),
		answerTime: prometheus.NewHistogramVec(histogram("plugbeat_http_request_duration_seconds",
			"How long plugbeat took to answer a request.", readBounds), []string{"listener"}),
		commitDuration: prometheus.NewHistogram(histogram("plugbeat_store_commit_duration_seconds",
			"How long the disk took to write and flush a commit.", commitBounds)),
		groupSize: prometheus.NewHistogram(histogram("plugbeat_store_group_operations",
			"Operations that one commit took together.", groupBounds)),
		commitFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "plugbeat_store_commit_failures_total",
			Help: "Commits that the disk did not take. Nothing of them was kept; what waited for them is tried again."}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "plugbeat_build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": v.Version, "go_version": v.Go}})
	build.Set(1)
	m.registry.MustRegister(m.readDuration, m.readLate, m.producedLate, m.paths, m.faults, m.requests, m.answerTime, m.commitDuration,
		m.groupSize, m.commitFailures, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, l := range []listener{apiListener, adminListener, socketListener} {
		m.answerTime.WithLabelValues(string(l))
		for _, class := range classes {
			m.requests.WithLabelValues(string(l), class)
		}
	}
	for _, s := range sources {
		for _, h := range []*prometheus.HistogramVec{m.readDuration, m.readLate, m.producedLate} {
			h.WithLabelValues(s)
		}
		m.paths.WithLabelValues(s)
		for _, t := range append([]string{otherType}, vehicle.FaultTypes[:]...) {
			m.faults.WithLabelValues(s, t)
		}
	}
	return m
}

// ReadBegan counts how late a read began.
func (m *Metrics) ReadBegan(source string, late time.Duration) {
	m.readLate.WithLabelValues(source).Observe(late.Seconds())
}

// ReadEnded counts a call of a source.
func (m *Metrics) ReadEnded(source string, paths int, took time.Duration) {
	m.paths.WithLabelValues(source).Add(float64(paths))
	m.readDuration.WithLabelValues(source).Observe(took.Seconds())
}

// PathFault counts a path without a value.
func (m *Metrics) PathFault(source string, f *vehicle.Fault) {
	t := f.Type
	if !slices.Contains(vehicle.FaultTypes[:], t) {
		t = otherType
	}
	m.faults.WithLabelValues(source, t).Inc()
}

// DeliveryProduced counts how late a delivery was made.
func (m *Metrics) DeliveryProduced(source string, late time.Duration) {
	m.producedLate.WithLabelValues(source).Observe(late.Seconds())
}

// Committed counts a commit of the store.
func (m *Metrics) Committed(operations int, took time.Duration, err error) {
	if err != nil {
		m.commitFailures.Inc()
		return
	}
	m.commitDuration.Observe(took.Seconds())
	m.groupSize.Observe(float64(operations))
}

// answered counts an answer to a request.
func (m *Metrics) answered(l listener, a web.Answered) {
	m.requests.WithLabelValues(string(l), classes[min(a.Status/100, len(classes)-1)]).Inc()
	if !a.Endless {
		m.answerTime.WithLabelValues(string(l)).Observe(a.Took.Seconds())
	}
}

// hookMetrics is what is counted of one webhook. It lives as long as the webhook.
type hookMetrics struct {
	attempts    map[webhook.Outcome]prometheus.Counter
	transitions map[webhook.Transition]prometheus.Counter
	right       prometheus.Counter
	wrong       prometheus.Counter
	ours        prometheus.Counter
	took        prometheus.Histogram
	late        prometheus.Histogram
	all         []prometheus.Metric
}

func newHookMetrics(id uuid.UUID) *hookMetrics {
	h := &hookMetrics{attempts: map[webhook.Outcome]prometheus.Counter{}, transitions: map[webhook.Transition]prometheus.Counter{}}
	counter := func(name, help, label, value string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"webhook": id.String(),
			label: value}})
		h.all = append(h.all, c)
		return c
	}
	histogram := func(name, help string, bounds []float64) prometheus.Histogram {
		c := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds,
			ConstLabels: prometheus.Labels{"webhook": id.String()}})
		h.all = append(h.all, c)
		return c
	}
	for _, o := range webhook.Outcomes {
		h.attempts[o] = counter("plugbeat_delivery_attempts_total", "Attempts, by what came of them.", "outcome", string(o))
	}
	for _, t := range webhook.Transitions {
		h.transitions[t] = counter("plugbeat_webhook_transitions_total", "Changes of a webhook's status or breaker.", "transition", string(t))
	}
	challenges := func(result string) prometheus.Counter {
		return counter("plugbeat_delivery_challenges_total", "Challenges, by whether the answer was right.", "result", result)
	}
	h.right, h.wrong, h.ours = challenges("right"), challenges("wrong"), challenges("ours")
	h.took = histogram("plugbeat_delivery_attempt_duration_seconds", "How long an attempt took, until the answer was read or the failure.",
		attemptBounds)
	h.late = histogram("plugbeat_delivery_lateness_seconds", "How long after its due time a delivery had arrived.", lateBounds)
	return h
}

// hook returns a webhook's metrics, made on its first event.
func (m *Metrics) hook(id uuid.UUID) *hookMetrics {
	m.mu.RLock()
	h := m.hooks[id]
	m.mu.RUnlock()
	if h != nil {
		return h
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hooks[id] == nil {
		m.hooks[id] = newHookMetrics(id)
	}
	return m.hooks[id]
}

// known lists the webhooks of which anything was counted.
func (m *Metrics) known() []uuid.UUID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	ids := make([]uuid.UUID, 0, len(m.hooks))
	for id := range m.hooks {
		ids = append(ids, id)
	}
	return ids
}

// forget lets go of webhooks that are no more.
func (m *Metrics) forget(ids []uuid.UUID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		delete(m.hooks, id)
	}
}

// AttemptEnded counts one exchange with a receiver.
func (m *Metrics) AttemptEnded(webhookID uuid.UUID, o webhook.Outcome, took time.Duration) {
	h := m.hook(webhookID)
	h.attempts[o].Inc()
	h.took.Observe(took.Seconds())
}

// ChallengeEnded counts a challenge.
func (m *Metrics) ChallengeEnded(webhookID uuid.UUID, right, ours bool) {
	h := m.hook(webhookID)
	switch {
	case right:
		h.right.Inc()
	case ours:
		h.ours.Inc()
	default:
		h.wrong.Inc()
	}
}

// Delivered counts how late a delivery arrived.
func (m *Metrics) Delivered(webhookID uuid.UUID, late time.Duration) {
	m.hook(webhookID).late.Observe(late.Seconds())
}

// Transitioned counts a change of a webhook's status or breaker.
func (m *Metrics) Transitioned(webhookID uuid.UUID, t webhook.Transition) {
	m.hook(webhookID).transitions[t].Inc()
}
