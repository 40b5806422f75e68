package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// schema4 is a layout that exists in tests only, on top of this version's: step 3
// renames webhooks in one transaction, step 4 vehicles' models in one a vehicle. at
// runs at each of "before", "renamed", "between", "half" and "done".
func schema4(at func(stage string)) layout {
	rename := func(b *bolt.Bucket, k []byte, field, suffix string) error {
		var rec map[string]json.RawMessage
		if err := json.Unmarshal(b.Get(k), &rec); err != nil {
			return err
		}
		var text string
		if err := json.Unmarshal(rec[field], &text); err != nil {
			return err
		}
		rec[field], _ = json.Marshal(text + suffix)
		v, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		return b.Put(k, v)
	}
	return layout{version: 4, steps: append(thisLayout().steps, []step{
		{3, "webhooks' names say so", func(db *bolt.DB) ([]note, error) {
			at("before")
			return nil, db.Update(func(tx *bolt.Tx) error {
				for _, k := range (reader{tx: tx}).keys(bucketWebhooks, nil, 0) {
					if err := rename(tx.Bucket([]byte(bucketWebhooks)), k, "name", " of 3"); err != nil {
						return err
					}
				}
				at("renamed")
				return nil
			})
		}},
		{4, "vehicles' models say so", func(db *bolt.DB) ([]note, error) {
			at("between")
			var ks [][]byte
			must := db.View(func(tx *bolt.Tx) error { ks = (reader{tx: tx}).keys(bucketVehicles, nil, 0); return nil })
			for _, k := range ks {
				if must = db.Update(func(tx *bolt.Tx) error { return rename(tx.Bucket([]byte(bucketVehicles)), k, "model", " of 4") }); must != nil {
					return nil, must
				}
				at("half")
			}
			at("done")
			return nil, must
		}},
	}...)}
}

func quiet(string) {}

// v1Copy is a copy of the kept file of schema 1.
func v1Copy(t *testing.T) (path string, content []byte) {
	t.Helper()
	content = read(t, v1Path)
	path = filepath.Join(fastDir(t), "plugbeat.db")
	must(t, os.WriteFile(path, content, 0o600))
	return path, content
}

func TestThisLayout(t *testing.T) {
	l := thisLayout()
	if l.version != schemaVersion || len(l.steps) != schemaVersion-1 {
		t.Errorf("schema %d has %d steps, want one for each number above 1", schemaVersion, len(l.steps))
	}
	for i, s := range l.steps {
		if s.to != uint32(i)+2 || s.what == "" || s.run == nil {
			t.Errorf("step %d leads to %d, %q", i, s.to, s.what)
		}
	}
}

// The file of schema 1 is brought to schema 4 with all that is in it, once, and the
// older file stays beside it, byte for byte.
func TestUpgrade(t *testing.T) {
	path, content := v1Copy(t)
	var log strings.Builder
	ran := ""
	o := Options{Path: path, Key: testKey, Log: zerolog.New(&log), layout: schema4(func(stage string) { ran += stage + " " })}
	s, err := Open(o)
	must(t, err)
	if ran != "before renamed between half half half done " {
		t.Errorf("ran %s", ran)
	}
	ws, err := s.Webhooks.Webhooks(ctx)
	must(t, err)
	vs, err := s.Vehicles.Vehicles(ctx, [16]byte{}, 9)
	must(t, err)
	if len(ws) != 2 || ws[0].Name != "hook 1 of 3" || len(vs) != 3 || vs[2].Model != "Model 3 of 4" {
		t.Errorf("%+v %+v", ws, vs)
	}
	if i, err := s.Maintenance.Info(ctx); err != nil || i.Schema != 4 {
		t.Errorf("%+v, %v", i, err)
	}
	if d, err := s.Deliveries.Deliveries(ctx, webhook.DeliveryFilter{}, [16]byte{}, 9); err != nil || len(d) != len(webhook.States) {
		t.Errorf("%d deliveries, %v", len(d), err)
	}
	must(t, s.Close())
	kept, err := filepath.Glob(path + ".schema1-*")
	if err != nil || len(kept) != 1 || !bytes.Equal(read(t, kept[0]), content) {
		t.Fatalf("kept: %v, %v", kept, err)
	}
	for _, want := range []string{`"event":"store.migrated"`, `"from":1,"to":4`, kept[0], "webhooks have a circuit breaker", "webhooks' names say so", "vehicles' models say so"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s: %s", want, log.String())
		}
	}
	if n := len(strings.Fields(entries(t, filepath.Dir(path)))); n != 2 {
		t.Errorf("left: %s", entries(t, filepath.Dir(path)))
	}
	ran = ""
	s, err = Open(o)
	must(t, err)
	must(t, s.Close())
	if kept, _ := filepath.Glob(path + ".schema*"); ran != "" || len(kept) != 1 {
		t.Errorf("the second start ran %q and kept %v", ran, kept)
	}

	// A plugbeat of schema 2 refuses the file, says what would have been kept of its own,
	// and works with what is older.
	o.layout = layout{}
	if _, err := Open(o); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "plugbeat.db.schema2-TIME") {
		t.Errorf("an older plugbeat: %v", err)
	}
	_, err = Restore(ctx, RestoreOptions{Path: path, From: bytes.NewReader(content), Name: "kept", Key: testKey})
	if !errors.Is(err, ErrOlder) {
		t.Errorf("going back without a flag: %v", err)
	}
	_, err = Restore(ctx, RestoreOptions{Path: path, From: bytes.NewReader(content), Name: "kept", Key: testKey, DiscardNewer: true})
	must(t, err)
	s, err = Open(o)
	must(t, err)
	must(t, s.Close())
}

// A file that is half way takes the steps it has not had.
func TestUpgradeFromBetween(t *testing.T) {
	path, _ := v1Copy(t)
	three := schema4(quiet)
	three.version, three.steps = 3, three.steps[:2]
	s, err := Open(Options{Path: path, Key: testKey, layout: three})
	must(t, err)
	must(t, s.Close())
	ran := ""
	s, err = Open(Options{Path: path, Key: testKey, layout: schema4(func(stage string) { ran += stage + " " })})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	if ran != "between half half half done " {
		t.Errorf("ran %s", ran)
	}
	if ws, err := s.Webhooks.Webhooks(ctx); err != nil || ws[0].Name != "hook 1 of 3" {
		t.Errorf("%+v %v", ws, err)
	}
	for _, label := range []string{"schema1", "schema3"} {
		if kept, _ := filepath.Glob(path + "." + label + "-*"); len(kept) != 1 {
			t.Errorf("kept of %s: %v", label, kept)
		}
	}
}

// Whatever goes wrong in an upgrade, the file is as it was and the plugbeat of before
// works with it.
func TestUpgradeFails(t *testing.T) {
	boom := errors.New("boom")
	spoil := func(bucket string, k, v []byte) layout {
		l := schema4(quiet)
		l.steps[2].run = func(db *bolt.DB) ([]note, error) {
			return nil, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Put(k, v) })
		}
		return l
	}
	fails := schema4(quiet)
	fails.steps[2].run = func(*bolt.DB) ([]note, error) { return nil, boom }
	for name, c := range map[string]struct {
		l    layout
		key  []byte
		kind error
		says string
	}{
		"a step fails": {fails, testKey, boom, "bring it to schema 4 (vehicles' models say so): boom"},
		"a step panics": {schema4(func(stage string) {
			if stage == "half" {
				panic("oh")
			}
		}), testKey, nil, "bring it to schema 4: panic: oh"},
		"a step spoils an index": {spoil(bucketWaiting, bytes.Repeat([]byte{1}, pairLen), nil), testKey, ErrDamaged, "waiting"},
		"a step spoils a record": {spoil(bucketVehicles, idBytes(1), []byte("{")), testKey, ErrDamaged, "vehicles"},
		"the key is another":     {schema4(quiet), bytes.Repeat([]byte{8}, keyLen), ErrKey, "key"},
	} {
		path, content := v1Copy(t)
		_, err := Open(Options{Path: path, Key: c.key, layout: c.l})
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), ".next-") {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(read(t, path), content) || entries(t, filepath.Dir(path)) != "plugbeat.db" {
			t.Errorf("%s: something changed: %s", name, entries(t, filepath.Dir(path)))
		}
		s, err := Open(Options{Path: path, Key: testKey})
		must(t, err)
		must(t, s.Close())
	}
}

// kill -9 at any moment of an upgrade leaves the older file, byte for byte, and the
// next start upgrades it.
func TestUpgradeKilled(t *testing.T) {
	const variable = "STORE_TEST_UPGRADE"
	if at, path, ok := strings.Cut(os.Getenv(variable), " "); ok {
		_, err := Open(Options{Path: path, Key: testKey, layout: schema4(func(stage string) {
			if stage == at {
				if p, err := os.FindProcess(os.Getpid()); err == nil {
					_ = p.Kill()
				}
				select {}
			}
		})})
		t.Fatalf("it lives: %v", err)
	}
	for _, stage := range []string{"before", "renamed", "between", "half", "done"} {
		path, content := v1Copy(t)
		cmd := exec.Command(os.Args[0], "-test.run=^TestUpgradeKilled$")
		cmd.Env = append(os.Environ(), variable+"="+stage+" "+path)
		if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "it lives") {
			t.Fatalf("%s: %v\n%s", stage, err, out)
		}
		if !bytes.Equal(read(t, path), content) {
			t.Errorf("killed at %q: the file changed", stage)
		}
		s, err := Open(Options{Path: path, Key: testKey, layout: schema4(quiet)})
		must(t, err)
		if ps, err := s.Maintenance.Check(ctx); err != nil || len(ps) > 0 {
			t.Errorf("killed at %q: %v %v", stage, ps, err)
		}
		must(t, s.Close())
		if left := strings.Fields(entries(t, filepath.Dir(path))); len(left) != 2 {
			t.Errorf("killed at %q, left: %v", stage, left)
		}
	}
}

// A backup of an older schema is brought up to date as it is restored, over a data
// file of whichever schema, and is itself never changed.
func TestRestoreOlderSchema(t *testing.T) {
	path, content := v1Copy(t)
	o := RestoreOptions{Path: path, From: bytes.NewReader(content), Name: "b.db", Key: testKey, layout: schema4(quiet)}
	if res, err := Restore(ctx, o); err != nil || !res.Same || !bytes.Equal(read(t, path), content) {
		t.Errorf("over the same: %+v, %v", res, err)
	}
	must(t, os.Remove(path))
	o.From = bytes.NewReader(content)
	res, err := Restore(ctx, o)
	must(t, err)
	if res.Backup.Schema != 4 || res.Backup.Webhooks != 2 {
		t.Errorf("%+v", res)
	}
	s, err := Open(Options{Path: path, Key: testKey, layout: schema4(func(string) { t.Error("it is upgraded again") })})
	must(t, err)
	must(t, s.Close())
	if sum, err := verify(ctx, v1Path, "v1", schema4(quiet), nil); err != nil || sum.Schema != 4 {
		t.Errorf("a backup of an older plugbeat: %+v, %v", sum, err)
	}
	if !bytes.Equal(read(t, v1Path), content) {
		t.Error("the kept file was changed")
	}
}

func idBytes(n int) []byte { id := vid(n); return id[:] }
