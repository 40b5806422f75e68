package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/store"
)

func TestBackupDue(t *testing.T) {
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		d, err := time.Parse("02 15:04", s)
		must(t, err)
		return d.AddDate(2026, 0, 0)
	}
	for _, c := range []struct{ spec, last, failed, want string }{
		{"24h", "", "", ""}, // at once
		{"24h", "02 10:00", "", "03 10:00"},
		{"30 3 * * *", "02 10:00", "", "03 03:30"},
		{"24h", "02 10:00", "02 11:00", "03 10:00"}, // an old failure
		{"24h", "02 10:00", "03 10:00", "03 10:10"}, // a pause after each failure
		{"24h", "", "03 10:00", "03 10:10"},
		{"5m", "02 10:00", "02 10:05", "02 10:15"},
	} {
		s, err := cadence.Parse(c.spec, "", 0)
		must(t, err)
		if got := backupDue(s, at(c.last), at(c.failed)); !got.Equal(at(c.want)) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// disk is where backups are made in a test.
type disk struct {
	*backups
	t     *testing.T
	log   *lines
	slow  time.Duration
	saved atomic.Int32
	fail  atomic.Pointer[error]
}

func newDisk(t *testing.T, spec string, keep int) *disk {
	s, err := cadence.Parse(spec, "", 0)
	must(t, err)
	d := &disk{t: t, log: &lines{}}
	d.backups = &backups{folder: t.TempDir(), keep: keep, schedule: s, prefix: "plugbeat-0badcafe-", log: zerolog.New(d.log), now: wallClock}
	d.doubt = func() string { return "" }
	d.save = func(ctx context.Context, path string) (store.Summary, error) {
		time.Sleep(d.slow)
		if err := ctx.Err(); err != nil {
			return store.Summary{}, err
		}
		if fail := d.fail.Load(); fail != nil {
			return store.Summary{}, *fail
		}
		d.saved.Add(1)
		return store.Summary{Bytes: 6}, os.WriteFile(path, []byte("a copy"), 0o600)
	}
	return d
}

// running runs the backups as a daemon that starts, and returns what stops them.
func (d *disk) running() (stop func()) {
	b := d.backups
	d.backups = &backups{folder: b.folder, keep: b.keep, schedule: b.schedule, prefix: b.prefix, log: b.log, save: b.save, doubt: b.doubt, now: b.now}
	ctx, cancel := context.WithCancel(d.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-ended }
}

func (d *disk) names() []string {
	d.t.Helper()
	es, err := os.ReadDir(d.folder)
	must(d.t, err)
	var names []string
	for _, e := range es {
		if name, ok := strings.CutSuffix(e.Name(), ".db"); ok {
			names = append(names, strings.TrimPrefix(name, d.prefix))
		}
	}
	return names
}

// The first is made at the start, then one each day; the oldest go, and nothing of
// others. A restart neither makes one more nor puts one off.
func TestScheduledBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "24h", 3)
		foreign := []string{"plugbeat-01234567-20000101T000000Z.db", "plugbeat-0badcafe-20000101.db", "plugbeat-0badcafe-.db", "plugbeat-0badcafe-20000101T000000Z", "photo.jpg"}
		for _, name := range foreign {
			must(t, os.WriteFile(filepath.Join(d.folder, name), nil, 0o600))
		}
		half := filepath.Join(d.folder, ".plugbeat-0badcafe-20000101T000000Z.db.new-17")
		must(t, os.WriteFile(half, nil, 0o600))
		start := time.Now() // midnight, 2000-01-01
		stop := d.running()
		if got := d.status(); got.Kept != 1 || !got.Last.Equal(start) || got.LastBytes != 6 || !got.Next.Equal(start.Add(24*time.Hour)) || got.Failed != "" {
			t.Errorf("%+v", got)
		}
		if _, err := os.Stat(half); err == nil {
			t.Error("what a killed daemon left is there")
		}
		for range 5 { // restarts
			time.Sleep(10 * time.Hour)
			stop()
			stop = d.running()
		}
		time.Sleep(5 * 24 * time.Hour)
		stop()
		var days []string
		for _, n := range d.names() {
			if day, _, ok := strings.Cut(n, "T"); ok && strings.HasPrefix(n, "2000") {
				days = append(days, day)
			}
		}
		if want := []string{"20000106", "20000107", "20000108"}; !slices.Equal(days, want) || d.saved.Load() != 8 {
			t.Errorf("%d made, those of %v are left, want %v", d.saved.Load(), days, want)
		}
		for _, name := range foreign {
			if _, err := os.Stat(filepath.Join(d.folder, name)); err != nil {
				t.Errorf("a stranger's file is gone: %v", err)
			}
		}
		if n := strings.Count(d.log.String(), `"event":"backup.made"`); n != int(d.saved.Load()) {
			t.Errorf("the log tells of %d, made were %d", n, d.saved.Load())
		}
	})
}

// A failure is told, is tried again, and takes no older backup away.
func TestFailingBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "24h", 1)
		stop := d.running()
		first := d.status().LastFile
		fire := errors.New("disk on fire")
		d.fail.Store(&fire)
		time.Sleep(24*time.Hour + time.Minute)
		got := d.status()
		if got.Failed != "disk on fire" || got.FailedAt.IsZero() || got.LastFile != first || got.Kept != 1 {
			t.Errorf("%+v", got)
		}
		time.Sleep(time.Hour)
		if n := strings.Count(d.log.String(), `"event":"backup.failed"`); n < 6 || n > 8 {
			t.Errorf("%d tries in an hour, want about one in ten minutes", n)
		}
		if _, err := os.Stat(first); err != nil {
			t.Errorf("the good one is gone: %v", err)
		}
		d.fail.Store(nil)
		time.Sleep(backupRetry + time.Minute)
		if got := d.status(); got.Failed != "" || got.LastFile == first || got.Kept != 1 {
			t.Errorf("%+v", got)
		}
		if _, err := os.Stat(first); err == nil {
			t.Error("the older one is still there")
		}
		stop()
	})
}

// A folder that is not there is never made.
func TestBackupFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "24h", 1)
		d.folder = filepath.Join(d.folder, "not mounted")
		stop := d.running()
		if got := d.status(); !strings.Contains(got.Failed, d.folder+" does not exist") || d.saved.Load() > 0 {
			t.Errorf("%+v", got)
		}
		must(t, os.Mkdir(d.folder, 0o700))
		time.Sleep(backupRetry + time.Minute)
		if got := d.status(); got.Failed != "" || got.Kept != 1 {
			t.Errorf("%+v", got)
		}
		stop()
	})
}

// A stop ends a backup that is being made, and is no failure of it.
func TestBackupEndsWithTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "24h", 1)
		d.slow = time.Minute
		d.running()()
		if got := d.status(); got.Failed != "" || strings.Contains(d.log.String(), "backup.failed") {
			t.Errorf("%+v", got)
		}
	})
}

// A daemon makes its backups by itself, and its status shows them.
func TestDaemonBacksUp(t *testing.T) {
	dir := shortDir(t)
	cfg := configured(t, dir, simulatorSource)
	cfg.Backup.Folder = filepath.Join(dir, "backups")
	must(t, os.Mkdir(cfg.Backup.Folder, 0o700))
	d := start(t, cfg)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		st, err := d.client.Status(t.Context())
		must(t, err)
		if st.Backup != nil && st.Backup.Kept == 1 {
			ps, err := CheckFile(st.Backup.LastFile)
			if err != nil || len(ps) > 0 {
				t.Errorf("%v %v", ps, err)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", st.Backup)
		}
	}
}

// TestBackupsFromTheFuture: what a clock that was wrong has left does not push the new backups
// out, and is not removed for it.
func TestBackupsFromTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "24h", 3)
		for _, year := range []string{"2077", "2078", "2079"} {
			must(t, os.WriteFile(filepath.Join(d.folder, d.prefix+year+"0101T000000Z.db"), nil, 0o600))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.run(ctx) }()
		time.Sleep(5*24*time.Hour + time.Minute)
		synctest.Wait()
		cancel()
		<-done
		st := d.status()
		if _, err := os.Stat(st.LastFile); err != nil || st.Kept != 6 || time.Since(st.Last) > 24*time.Hour {
			t.Errorf("%v: %+v", err, st)
		}
	})
}

// TestNoBackupOnADoubtedClock: while the clock cannot be believed no backup is made or removed,
// and one is made as soon as it can.
func TestNoBackupOnADoubtedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, "24h", 1)
		var doubt atomic.Bool
		doubt.Store(true)
		d.doubt = func() string {
			if doubt.Load() {
				return "it says 1970"
			}
			return ""
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); d.run(ctx) }()
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		if n := d.saved.Load(); n != 0 {
			t.Errorf("%d were made", n)
		}
		doubt.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := d.saved.Load(); n != 1 {
			t.Errorf("%d were made once the clock is believed", n)
		}
		cancel()
		<-done
	})
}
