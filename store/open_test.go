package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

func TestOpenRefuses(t *testing.T) {
	f := open(t)
	path := f.o.Path
	short := f.o
	short.Key = []byte("short")
	var invalid *webhook.Invalid
	if _, err := Open(short); !errors.As(err, &invalid) || strings.Contains(err.Error(), "short") {
		t.Fatal(err)
	}
	locked := f.o
	locked.LockTimeout = 60 * time.Millisecond
	if _, err := Open(locked); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "stop it") {
		t.Fatal(err)
	}
	must(t, f.Close())
	other := f.o
	other.Key = bytes.Repeat([]byte{8}, keyLen)
	if _, err := Open(other); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"empty": nil, "text": []byte("hello"), "zeros": make([]byte, 1<<16)} {
		p := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(p, content, 0o600))
		wantDamaged(t, p)
	}
	if _, err := Open(Options{Path: t.TempDir(), Key: testKey}); err == nil {
		t.Fatal("a directory")
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	db, err := bolt.Open(foreign, 0o600, nil)
	must(t, err)
	must(t, db.Close())
	if _, err := Open(Options{Path: foreign, Key: testKey}); err == nil || !strings.Contains(err.Error(), "not plugbeat's") {
		t.Fatal(err)
	}
}

func TestCreateLeavesNothingBehind(t *testing.T) {
	f := open(t)
	names, err := os.ReadDir(filepath.Dir(f.o.Path))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	// Two that create at once end with one file.
	o := f.o
	o.Path = filepath.Join(t.TempDir(), "plugbeat.db")
	o.LockTimeout = 60 * time.Millisecond
	must(t, create(o, f.sealer))
	first, err := os.ReadFile(o.Path)
	must(t, err)
	must(t, create(o, f.sealer))
	if again, err := os.ReadFile(o.Path); err != nil || !bytes.Equal(first, again) {
		t.Fatal("the second creation replaced the first", err)
	}
}

// A process that holds the file is found out from another process too.
func TestLockHoldsAcrossProcesses(t *testing.T) {
	if path := os.Getenv("STORE_TEST_LOCKED"); path != "" {
		_, err := Open(Options{Path: path, Key: testKey, LockTimeout: 60 * time.Millisecond})
		if !errors.Is(err, ErrInUse) {
			t.Fatal(err)
		}
		return
	}
	f := open(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockHoldsAcrossProcesses$")
	cmd.Env = append(os.Environ(), "STORE_TEST_LOCKED="+f.o.Path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// small makes a closed data file with some rows in every bucket, with pages of
// its own for the large ones.
func small(t *testing.T) (path string, content []byte) {
	f := populated(t)
	for range 40 {
		f.produce(1)
	}
	must(t, f.Close())
	path = filepath.Join(fastDir(t), "small.db")
	compactTo(t, f.o.Path, path)
	content, err := os.ReadFile(path)
	must(t, err)
	return path, content
}

// compactTo rewrites a data file into one without free space.
func compactTo(t *testing.T, from, to string) {
	t.Helper()
	src, err := bolt.Open(from, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	must(t, err)
	dst, err := bolt.Open(to, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	must(t, err)
	dst.AllocSize = 4096
	must(t, bolt.Compact(dst, src, 0))
	must(t, errors.Join(src.Close(), dst.Close()))
}

func wantDamaged(t *testing.T, path string) {
	t.Helper()
	_, err := Open(Options{Path: path, Key: testKey})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("open: %v", err)
	}
	if _, err := CheckFile(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("check: %v", err)
	}
}

// wantNoCrash opens, checks and writes a file whose content may be anything. It
// reports whether anybody noticed.
func wantNoCrash(t *testing.T, path string) (noticed bool) {
	t.Helper()
	ps, err := CheckFile(path)
	noticed = len(ps) > 0 || err != nil
	s, err := Open(Options{Path: path, Key: testKey})
	if err != nil {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
		return true
	}
	defer func() { _ = s.Close() }()
	ps, err = s.Maintenance.Check(ctx)
	_ = s.Vehicles.PutVehicle(ctx, newVehicle(1))
	return noticed || len(ps) > 0 || err != nil
}

func TestTruncatedFile(t *testing.T) {
	path, content := small(t)
	tx := pagesInUse(t, path)
	for n := 1; n < tx; n++ {
		must(t, os.WriteFile(path, content[:n*4096], 0o600))
		wantDamaged(t, path)
	}
	must(t, os.WriteFile(path, content[:4096+100], 0o600))
	wantDamaged(t, path)
}

// What is missing at the end may be a page that nothing at start looks at.
func TestTruncatedInTheMiddleOfAPayload(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	for i := range 100 {
		size := 200
		if i == 5 {
			size = 1 << 20
		}
		_, err := f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (webhook.Decision, error) {
			d, err := fireAll(t0)(v)
			d.Schedules[0].Draft.Payload = make([]byte, size)
			return d, err
		})
		must(t, err)
	}
	must(t, f.Close())
	must(t, os.Truncate(f.o.Path, int64(pagesInUse(t, f.o.Path)-20)*4096))
	wantDamaged(t, f.o.Path)
}

func TestZeroedPages(t *testing.T) {
	path, content := small(t)
	quiet := 0
	for n := range pagesInUse(t, path) {
		b := bytes.Clone(content)
		clear(b[n*4096 : (n+1)*4096])
		must(t, os.WriteFile(path, b, 0o600))
		if !wantNoCrash(t, path) {
			quiet++ // a free page, or the older meta page
		}
	}
	if quiet > 4 {
		t.Errorf("%d zeroed pages were not noticed", quiet)
	}
}

func TestGarbage(t *testing.T) {
	path, content := small(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range pagesInUse(t, path) {
		b := bytes.Clone(content)
		page := b[n*4096 : (n+1)*4096]
		for i := 16; i < len(page); i++ { // keep the page's header, so that it is followed
			page[i] = byte(rnd.Uint32())
		}
		must(t, os.WriteFile(path, b, 0o600))
		wantNoCrash(t, path)
	}
}

// The same damage while the file is open: every call comes back with an error.
func TestDamageWhileOpen(t *testing.T) {
	f := populated(t)
	d := f.produce(1)
	must(t, f.file.Truncate(8192))
	for name, err := range map[string]error{
		"check":    second(f.Check(ctx)),
		"vehicle":  second(f.Vehicle(ctx, vid(1))),
		"payload":  second(f.Payload(ctx, d[0].ID)),
		"complete": second(f.CompleteRead(ctx, vid(1), fireAll(t0))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func pagesInUse(t *testing.T, path string) int {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	must(t, err)
	defer func() { must(t, db.Close()) }()
	n := 0
	must(t, db.View(func(tx *bolt.Tx) error { n = int(tx.Size() / 4096); return nil }))
	return n
}
