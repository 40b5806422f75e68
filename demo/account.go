package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"plugbeat/store"
	"plugbeat/webhook"
)

// summary is the demo's end: three accounts that must agree.
type summary struct {
	Balanced bool             `json:"balanced"`
	Ledger   webhook.Ledger   `json:"ledger"`
	Waiting  uint64           `json:"waiting"`
	DueTimes webhook.DueTimes `json:"due_times"`
	// Accepted counts the distinct webhook-ids the receiver answered with 2xx,
	// Twice those it got more than once, Wrong the requests with a wrong signature.
	Accepted int `json:"accepted"`
	Twice    int `json:"twice"`
	Wrong    int `json:"wrong_signatures"`
	// Reads counts paths: as the daemon counted them and as the fleet served them.
	Reads       uint64 `json:"reads"`
	ReadsServed uint64 `json:"reads_served"`
	// Complaints say what does not agree.
	Complaints []string `json:"complaints"`
	recorded   bool
}

// account opens the data file of the stopped daemon and holds it against what the
// receiver and the fleet counted for themselves.
func (d *demo) account(ctx context.Context) (bool, error) {
	s := summary{Complaints: []string{}}
	wrong := func(format string, args ...any) { s.Complaints = append(s.Complaints, fmt.Sprintf(format, args...)) }
	problems, err := store.CheckFileContext(ctx, d.cfg.DataFile())
	if err != nil {
		return false, err
	}
	for _, p := range problems {
		wrong("data file: %s", p)
	}
	key, err := d.cfg.SealingKey()
	if err != nil {
		return false, err
	}
	db, err := store.Open(store.Options{Path: d.cfg.DataFile(), Key: key}) //nolint:contextcheck // it ends by its own lock timeout
	if err != nil {
		return false, err
	}
	defer func() { _ = db.Close() }()

	w, err := db.Webhooks.Webhook(ctx, d.hook.ID)
	if err != nil {
		return false, err
	}
	s.Ledger, s.Waiting, s.DueTimes = w.Ledger, w.Ledger.Waiting(), w.DueTimes
	waiting := uint64(0)
	for after := uuid.Nil; ; {
		page, err := db.Deliveries.Queue(ctx, w.ID, after, pageSize)
		if err != nil {
			return false, err
		}
		waiting += uint64(len(page))
		if len(page) < pageSize {
			break
		}
		after = page[len(page)-1].Delivery
	}
	if waiting != s.Waiting {
		wrong("the ledger says %d wait, the queue holds %d", s.Waiting, waiting)
	}
	got := d.receiver.Accepted()
	s.Accepted = len(got)
	for _, n := range got {
		if n > 1 {
			s.Twice++
		}
	}
	for _, m := range d.receiver.Messages() {
		if m.Event != "verify" && (!m.Smartcar || !m.Standard) {
			s.Wrong++
		}
	}
	if s.Wrong > 0 {
		wrong("%d requests had a wrong signature", s.Wrong)
	}
	delivered, resends := uint64(0), uint64(0)
	counted := map[string]bool{}
	for before := uuid.Nil; ; {
		page, err := db.Deliveries.Deliveries(ctx, webhook.DeliveryFilter{Webhook: w.ID}, before, pageSize)
		if err != nil {
			return false, err
		}
		for _, x := range page {
			if before = x.ID; x.ResendOf != nil {
				resends++ // somebody tried it
			}
			if x.State != webhook.Delivered {
				continue
			}
			delivered++
			if got[x.MessageID.String()] == 0 {
				wrong("delivery %s counts as delivered, and the receiver does not have it", x.ID)
			}
			counted[x.MessageID.String()] = true
		}
		if len(page) < pageSize {
			break
		}
	}
	if s.DueTimes.Produced+resends != s.Ledger.Produced {
		wrong("%d due times produced, %d were resent, the ledger has %d", s.DueTimes.Produced, resends, s.Ledger.Produced)
	}
	for id := range got {
		if counted[id] {
			continue
		}
		wrong("the receiver has %s, which does not count as delivered", id)
	}
	if delivered != s.Ledger.Delivered {
		wrong("the ledger says %d delivered, there are %d", s.Ledger.Delivered, delivered)
	}

	if err := d.accountReads(ctx, db, &s, wrong); err != nil {
		return false, err
	}
	s.Balanced = len(s.Complaints) == 0
	return s.Balanced, d.show.summary(s)
}

// accountReads holds what plugbeat read against what the fleet served. Nobody counts reads
// of a recording.
func (d *demo) accountReads(ctx context.Context, db *store.Store, s *summary, wrong func(string, ...any)) error {
	if d.fleet == nil {
		s.recorded = true
		return nil
	}
	served := d.upstream.Reads()
	for _, v := range d.fleet.Vehicles() {
		id, n := v.ID, served[v.ID]
		st, err := db.Vehicles.VehicleStatus(ctx, id)
		if err != nil {
			return err
		}
		s.Reads += st.PathReads
		s.ReadsServed += n
		if st.PathReads != n {
			wrong("%s: plugbeat counts %d path reads, the fleet served %d", d.show.vehicle(id), st.PathReads, n)
		}
	}
	return nil
}

// summary prints the end.
func (s *show) summary(sum summary) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		return json.NewEncoder(s.out).Encode(sum)
	}
	s.settle()
	l := sum.Ledger
	var b strings.Builder
	title, both := "The accounts of the daemon, the receiver and the fleet", "every delivery and every read"
	if sum.recorded {
		title, both = "The accounts of the daemon and the receiver", "every delivery"
	}
	b.WriteString("\n" + s.styled("1", title) + "\n")
	fmt.Fprintf(&b, "  ledger     %d produced = %d delivered + %d superseded + %d dead + %d expired + %d cancelled + %d waiting\n",
		l.Produced, l.Delivered, l.Superseded, l.Dead, l.Expired, l.Cancelled, sum.Waiting)
	if sum.Waiting > 0 {
		b.WriteString("             what waits is in the data file; plugbeat would send it at its next retry\n")
	}
	fmt.Fprintf(&b, "  due times  %d produced, %d collapsed while plugbeat was down, %d skipped\n", sum.DueTimes.Produced,
		sum.DueTimes.Collapsed, sum.DueTimes.Skipped)
	fmt.Fprintf(&b, "  receiver   %d distinct deliveries accepted, %d of them twice, %d wrong signatures\n", sum.Accepted, sum.Twice,
		sum.Wrong)
	if !sum.recorded {
		fmt.Fprintf(&b, "  reads      %d paths read, %d served by the fleet\n", sum.Reads, sum.ReadsServed)
	}
	for _, c := range sum.Complaints {
		fmt.Fprintf(&b, "  WRONG      %s\n", c)
	}
	verdict := s.styled("1;32", "balanced: "+both+" is accounted for on both sides")
	if !sum.Balanced {
		verdict = s.styled("1;31", "NOT balanced")
	}
	fmt.Fprintf(&b, "  %s\n", verdict)
	if sum.Balanced {
		b.WriteString(whatNext)
	}
	_, err := fmt.Fprint(s.out, b.String())
	return err
}

// whatNext is what somebody who liked the demo does.
const whatNext = `
What to do next (in a clone plugbeat is ./plugbeat, made by: go build -o plugbeat .)
  plugbeat init --dir garage                            a config with three simulated vehicles
  export PLUGBEAT_CONFIG="$PWD/garage/config.yaml"
  plugbeat serve                                        the daemon; its data lie in garage
  plugbeat listen                                       a receiver to try it with, in another terminal
  plugbeat webhook add                                  asks for what it needs
README.md has these steps as its quickstart, and says how to connect real vehicles.
`

// pageSize bounds one look into the store.
const pageSize = 500
