package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// family is a metric whose value is read when somebody scrapes.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) family {
	return family{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) family {
	return family{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

// The families of a scrape. Those that the data file keeps count from the webhook's
// first day and survive a restart.
var (
	condition = gauge("plugbeat_health_condition",
		"What is wrong, 1 or how many vehicles; absent while it is not. docs/health.md lists the codes.", "code", "severity", "subject")

	dueTimes  = counter("plugbeat_scheduler_due_times_total", "Due times of subscriptions, by what became of them.", "webhook", "result")
	oldestDue = gauge("plugbeat_scheduler_oldest_due_seconds",
		"How long the subscription that is due the longest has been due; 0 while none is.", "source")

	fleetVehicles = gauge("plugbeat_fleet_vehicles", "Vehicles, by what is known of their plug.", "state")
	fleetTroubled = gauge("plugbeat_fleet_troubled_vehicles", "Vehicles whose last reading failed, by what it takes to mend it.", "trouble")

	sourceLastValue = gauge("plugbeat_source_last_value_timestamp_seconds",
		"When a source last gave a value; 0 when it gave none since the start.", "source")

	sourceBudget = gauge("plugbeat_source_budget_calls",
		"How many calls each vehicle of a source may cost in a period; 0 for no limit. Absent where nobody counts.", "source")
	sourceSpent = gauge("plugbeat_source_spent_calls",
		"What all vehicles of a source have cost in this period. Absent where nobody counts.", "source")

	hookInfo        = gauge("plugbeat_webhook_info", "Always 1; the labels name a webhook.", "webhook", "name", "type")
	hookStatus      = gauge("plugbeat_webhook_status", "1 for the status a webhook has.", "webhook", "status")
	hookStep        = gauge("plugbeat_webhook_probes_failed", "How many probes have failed since the circuit breaker opened.", "webhook")
	hookLastSuccess = gauge("plugbeat_webhook_last_success_timestamp_seconds", "When a webhook last took a delivery; 0 when it never did.",
		"webhook")

	produced = counter("plugbeat_delivery_produced_total", "Deliveries that were made.", "webhook")
	finished = counter("plugbeat_delivery_finished_total", "Deliveries that are finished, by their state.", "webhook", "state")

	queueWaiting  = gauge("plugbeat_queue_waiting_deliveries", "Deliveries that wait, in flight or not.", "webhook")
	queueInFlight = gauge("plugbeat_queue_in_flight_requests", "Requests to a receiver that are under way.", "webhook")
	queueOldest   = gauge("plugbeat_queue_oldest_age_seconds", "How long ago the oldest waiting delivery was made; 0 when none waits.",
		"webhook")

	storeFile      = gauge("plugbeat_store_file_bytes", "The size of the data file.")
	storeLive      = gauge("plugbeat_store_live_bytes", "What of the data file is in use.")
	storeMax       = gauge("plugbeat_store_max_bytes", "What of the data file may be in use before waiting deliveries expire.")
	storeFreePages = gauge("plugbeat_store_free_pages", "Pages of the data file that hold nothing and are used next.")
	diskFree       = gauge("plugbeat_store_disk_free_bytes", "What is free on the data file's disk.")
	diskMinFree    = gauge("plugbeat_store_disk_min_free_bytes", "Below this much free the disk counts as nearly full.")

	backupLast = gauge("plugbeat_backup_last_timestamp_seconds",
		"When the newest good scheduled backup was made; 0 when there is none. Absent when none are scheduled.")
)

// metrics serves what is counted and what stands, in Prometheus' text format or as
// OpenMetrics, whichever is asked for.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	now := prometheus.NewRegistry()
	now.MustRegister(s.scrape(r.Context()))
	promhttp.HandlerFor(prometheus.Gatherers{s.Metrics.registry, now}, promhttp.HandlerOpts{
		EnableOpenMetrics: true, ErrorLog: scrapeLog{s}, ErrorHandling: promhttp.ContinueOnError,
	}).ServeHTTP(w, r)
}

// scrapeLog takes what could not be gathered.
type scrapeLog struct{ s *Server }

func (l scrapeLog) Println(v ...any) {
	l.s.Log.Error().Str("event", "metrics.failed").Str("error", strings.TrimSpace(fmt.Sprintln(v...))).
		Msg("some metrics are missing from a scrape")
}

// scraped is one look at all that is kept elsewhere. It is a collector of just
// that look.
type scraped []prometheus.Metric

// Describe says nothing: which webhooks and sources there are is not known before.
func (scraped) Describe(chan<- *prometheus.Desc) {}

// Collect gives what was seen.
func (s scraped) Collect(ch chan<- prometheus.Metric) {
	for _, m := range s {
		ch <- m
	}
}

func (s *scraped) put(f family, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(f.desc, f.kind, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(f.desc, err)
	}
	*s = append(*s, m)
}

// scrape reads what is kept. It walks webhooks and sources, of which there are few,
// and neither vehicles, subscriptions nor deliveries, of which there may be many.
// What cannot be read is left out, and a condition says which part of the daemon it is.
func (s *Server) scrape(ctx context.Context) scraped {
	var out scraped
	now := s.Now()
	out.conditions(s.Health.Health(ctx).Conditions)
	for _, src := range s.Upkeep.Sources() {
		out.source(src, now)
	}
	census, _ := s.Store.Census(0)
	out.fleet(census)
	if b := s.Upkeep.Backups(); b != nil {
		out.put(backupLast, stamp(b.Last))
	}
	if info, err := s.Upkeep.Info(ctx); err != nil {
		scrapeLog{s}.Println(err)
	} else {
		out.store(info)
	}
	// First those that were counted: a webhook that is added after the list was read
	// must not be taken for one that is gone.
	known := s.Metrics.known()
	hooks, err := s.Store.Webhooks(ctx)
	if err != nil {
		scrapeLog{s}.Println(err)
		return out
	}
	queues := s.Deliveries.Queues()
	for i := range hooks {
		w := &hooks[i]
		out.hook(w, queues[w.ID], now)
		out = append(out, s.Metrics.hook(w.ID).all...)
	}
	s.Metrics.forget(slices.DeleteFunc(known, func(id uuid.UUID) bool {
		return slices.ContainsFunc(hooks, func(w webhook.Webhook) bool { return w.ID == id })
	}))
	return out
}

// conditions puts what is wrong, by its subject. Vehicles, of which there may be many, are
// counted instead.
func (s *scraped) conditions(cs []health.Condition) {
	type series struct{ code, severity, subject string }
	seen := map[series]int{}
	for _, c := range cs {
		n, of := 1, series{string(c.Code), string(c.Severity), c.Subject.String()}
		if k := c.Subject.Kind; k == health.Vehicle || k == health.Fleet {
			of.subject, n = health.Subject{Kind: health.Fleet}.String(), max(1, c.Of)
		}
		seen[of] += n
	}
	for of, n := range seen {
		s.put(condition, float64(n), of.code, of.severity, of.subject)
	}
}

func (s *scraped) fleet(c vehicle.Census) {
	for state, n := range c.States {
		s.put(fleetVehicles, float64(n), vehicle.State(state).String()) //nolint:gosec // there are three
	}
	s.put(fleetTroubled, float64(c.Unread), "unread")
	s.put(fleetTroubled, float64(c.NeedsOwner), "needs_owner")
}

func (s *scraped) source(src adminapi.Source, now time.Time) {
	if !src.Configured {
		return
	}
	s.put(sourceLastValue, stamp(src.LastOK), src.Name)
	s.put(oldestDue, age(src.Due, now), src.Name)
	if c := src.Cost; c != nil {
		s.put(sourceBudget, float64(c.Budget), src.Name)
		s.put(sourceSpent, float64(c.Spent), src.Name)
	}
}

func (s *scraped) hook(w *webhook.Webhook, queue webhook.Queue, now time.Time) {
	id := w.ID.String()
	s.put(hookInfo, 1, id, w.Name, string(w.Type))
	for _, status := range webhook.Statuses {
		s.put(hookStatus, one(w.Status == status), id, string(status))
	}
	s.put(hookStep, float64(w.Breaker.Step), id)
	s.put(hookLastSuccess, stamp(w.Breaker.LastSuccess), id)
	s.put(dueTimes, float64(w.DueTimes.Produced), id, "produced")
	s.put(dueTimes, float64(w.DueTimes.Collapsed), id, "collapsed")
	s.put(dueTimes, float64(w.DueTimes.Skipped), id, "skipped")
	s.put(dueTimes, float64(w.DueTimes.Quiet), id, "quiet")
	s.put(produced, float64(w.Ledger.Produced), id)
	for state, n := range map[webhook.State]uint64{
		webhook.Delivered: w.Ledger.Delivered, webhook.Superseded: w.Ledger.Superseded, webhook.Dead: w.Ledger.Dead,
		webhook.Expired: w.Ledger.Expired, webhook.Cancelled: w.Ledger.Cancelled,
	} {
		s.put(finished, float64(n), id, string(state))
	}
	// The ledger's, so that the account of a scrape balances.
	s.put(queueWaiting, float64(w.Ledger.Waiting()), id)
	s.put(queueInFlight, float64(queue.InFlight), id)
	s.put(queueOldest, age(queue.Oldest, now), id)
}

func (s *scraped) store(i adminapi.StoreInfo) {
	s.put(storeFile, float64(i.FileBytes))
	s.put(storeLive, float64(i.LiveBytes))
	s.put(storeMax, float64(i.MaxBytes))
	s.put(storeFreePages, float64(i.FreePages))
	if i.TotalBytes > 0 { // else it is not known here
		s.put(diskFree, float64(i.FreeBytes))
		s.put(diskMinFree, float64(i.MinFreeBytes))
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// stamp is a time in unix seconds, 0 for none.
func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// age is how long ago a time was, in seconds; 0 for none and for one to come.
func age(t, now time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t).Seconds())
}
