package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"plugbeat/webhook"
)

const schema1Dir = "testdata/schema1"

// schema1Facts is what NAME.json says of a data file of schema 1.
type schema1Facts struct {
	WrittenAt time.Time `json:"written_at"`
	Webhooks  []struct {
		ID      uuid.UUID      `json:"id"`
		Status  webhook.Status `json:"status"`
		Reason  webhook.Reason `json:"reason"`
		Ledger  webhook.Ledger `json:"ledger"`
		Waiting []uuid.UUID    `json:"waiting"`
	} `json:"webhooks"`
	Deliveries []schema1Delivery `json:"deliveries"`
}

// schema1Delivery is a delivery of schema 1.
type schema1Delivery struct {
	ID          uuid.UUID     `json:"id"`
	MessageID   uuid.UUID     `json:"message_id"`
	Vehicle     uuid.UUID     `json:"vehicle"`
	State       webhook.State `json:"state"`
	Payload     string        `json:"payload_sha256"`
	LastOutcome string        `json:"last_outcome"`
	Attempts    [][]any       `json:"attempts"`
}

// schema1Names lists the data files of schema 1 that are kept.
func schema1Names(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(schema1Dir, "*.db.gz"))
	must(t, err)
	if len(paths) != 10 {
		t.Fatalf("%d files of schema 1, want 10", len(paths))
	}
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".db.gz"))
	}
	return names
}

// schema1 unpacks a data file of schema 1 into a folder of its own.
func schema1(t *testing.T, name string) (path string, content []byte, facts schema1Facts) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(read(t, filepath.Join(schema1Dir, name+".db.gz"))))
	must(t, err)
	content, err = io.ReadAll(z)
	must(t, err)
	path = filepath.Join(fastDir(t), "plugbeat.db")
	must(t, os.WriteFile(path, content, 0o600))
	must(t, json.Unmarshal(read(t, filepath.Join(schema1Dir, name+".json")), &facts))
	return path, content, facts
}

// Each kept file opens, is sound, and has the deliveries that it had: the same ids in
// the same order, the same message ids and payloads.
func TestSchema1(t *testing.T) {
	for _, name := range schema1Names(t) {
		t.Run(name, func(t *testing.T) {
			path, _, facts := schema1(t, name)
			f := open(t, func(o *Options) { o.Path = path })
			f.sound()
			ws, err := f.Webhooks(ctx)
			must(t, err)
			if len(ws) != len(facts.Webhooks) {
				t.Fatalf("%d webhooks, want %d", len(ws), len(facts.Webhooks))
			}
			for i, want := range facts.Webhooks {
				if ws[i].ID != want.ID || ws[i].Status != want.Status || ws[i].Reason != want.Reason {
					t.Errorf("webhook %s is %s %s, want %s %s", ws[i].ID, ws[i].Status, ws[i].Reason, want.Status, want.Reason)
				}
				if d := cmp.Diff(want.Ledger, ws[i].Ledger); d != "" {
					t.Errorf("webhook %s: %s", want.ID, d)
				}
				items, err := f.Lane(ctx, want.ID, uuid.Nil, 1000)
				must(t, err)
				var waiting []uuid.UUID
				for _, it := range items {
					waiting = append(waiting, it.Delivery)
				}
				if !slices.Equal(waiting, want.Waiting) {
					t.Errorf("webhook %s: %v wait, want %v", want.ID, waiting, want.Waiting)
				}
			}
			ds, err := f.Deliveries(ctx, webhook.DeliveryFilter{}, uuid.Nil, 1000)
			must(t, err)
			slices.Reverse(ds)
			if len(ds) != len(facts.Deliveries) {
				t.Fatalf("%d deliveries, want %d", len(ds), len(facts.Deliveries))
			}
			for i, want := range facts.Deliveries {
				d := ds[i]
				if want.MessageID == uuid.Nil {
					want.MessageID = want.ID
				}
				if d.ID != want.ID || d.MessageID != want.MessageID || d.Vehicle != want.Vehicle || d.State != want.State || d.Attempts != len(want.Attempts) {
					t.Errorf("%+v, want %+v", d, want)
				}
				if want.Payload == "" {
					continue
				}
				payload, err := f.Payload(ctx, d.ID)
				must(t, err)
				if sum := sha256.Sum256(payload); hex.EncodeToString(sum[:8]) != want.Payload {
					t.Errorf("delivery %s: its payload changed", d.ID)
				}
			}
		})
	}
}
