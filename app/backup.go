package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/config"
	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/store"
)

const (
	// backupLook is how often the clock is held against the schedule.
	backupLook = 15 * time.Second
	// backupRetry is how long after a failure the next try is made.
	backupRetry = 10 * time.Minute
)

// backups makes the scheduled backups: one file each in a folder, checked before it
// gets its name, the oldest removed once a new one is good. What is in the folder
// is all that it remembers across a restart.
type backups struct {
	folder   string
	keep     int
	schedule cadence.Schedule
	prefix   string // of this instance's files
	save     func(ctx context.Context, path string) (store.Summary, error)
	doubt    func() string // why the clock cannot be believed; empty when it can
	now      func() time.Time
	doubted  bool // at the last look
	log      zerolog.Logger

	mu    sync.Mutex
	state adminapi.Backups
}

// newBackups returns nil when the config asks for no backups.
func newBackups(cfg config.Config, s *store.Store, instance uuid.UUID, log zerolog.Logger) (*backups, error) {
	if cfg.Backup.Folder == "" {
		return nil, nil //nolint:nilnil // nil is "none", which its methods take
	}
	schedule, err := cadence.Parse(cfg.Backup.Schedule, cfg.Cadence.Zone, cadence.DefaultFloor)
	if err != nil {
		return nil, fmt.Errorf("backup.schedule: %w", err)
	}
	return &backups{
		folder: cfg.Backup.Folder, keep: cfg.Backup.Keep, schedule: schedule, save: s.Maintenance.Backup, now: wallClock, log: log,
		prefix: "plugbeat-" + hex.EncodeToString(instance[:4]) + "-",
		state:  adminapi.Backups{Folder: cfg.Backup.Folder, Schedule: cfg.Backup.Schedule, Keep: cfg.Backup.Keep},
	}, nil
}

// run makes backups when they are due until ctx ends.
func (b *backups) run(ctx context.Context) {
	if b == nil {
		return
	}
	b.recall(b.now())
	b.look(ctx)
	scheduler.Every(ctx, cadence.Every(backupLook), b.look)
}

// look makes a backup where one is due and the clock can be believed.
func (b *backups) look(ctx context.Context) {
	doubt := b.doubt()
	now := b.now()
	if b.doubted && doubt == "" { // what was from the future is not any more, or is now
		b.recall(now)
	}
	if b.doubted = doubt != ""; !b.doubted && !now.Before(b.status().Next) {
		b.make(ctx, now)
	}
}

// status is how the backups stand; nil when there are none.
func (b *backups) status() *adminapi.Backups {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.state
	return &c
}

// backupDue is when the next backup is made: at once when there is none, one step
// of the schedule after the last, and after a failure not before the pause for it.
func backupDue(schedule cadence.Schedule, last, failed time.Time) time.Time {
	var due time.Time
	if !last.IsZero() {
		due = schedule.Next(last, last)
	}
	if again := failed.Add(backupRetry); !failed.IsZero() && again.After(due) {
		due = again
	}
	return due
}

// recall takes up from what is in the folder. A file from the future, which a clock
// that was wrong has left, is not the last one.
func (b *backups) recall(now time.Time) {
	files, err := b.files()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range files {
		if f.at.After(now) {
			continue
		}
		b.state.Last, b.state.LastFile = f.at, filepath.Join(b.folder, f.name)
		if info, err := os.Stat(b.state.LastFile); err == nil {
			b.state.LastBytes = info.Size()
		}
	}
	b.state.Kept = len(files)
	b.state.Next = backupDue(b.schedule, b.state.Last, time.Time{})
	if err != nil || b.state.Next.IsZero() {
		b.state.Next = now // where something is wrong, it will say so
	}
}

// make makes one backup and keeps what came of it.
func (b *backups) make(ctx context.Context, now time.Time) {
	at := now.UTC().Truncate(time.Second)
	path := filepath.Join(b.folder, b.prefix+at.Format(backupTime)+".db")
	began := time.Now()
	sum, err := b.once(ctx, path)
	if err != nil && ctx.Err() != nil {
		return // the daemon is stopping; the next start makes up for it
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.state.Failed, b.state.FailedAt = err.Error(), now.UTC()
		b.state.Next = backupDue(b.schedule, b.state.Last, now)
		b.log.Error().Str("event", "backup.failed").Str("path", path).Time("next", b.state.Next).Time("last", b.state.Last).Err(err).
			Msg("no backup was made")
		return
	}
	b.state.Last, b.state.LastFile, b.state.LastBytes = at, path, sum.Bytes
	b.state.Failed, b.state.FailedAt = "", time.Time{}
	b.state.Next = backupDue(b.schedule, at, time.Time{})
	b.log.Info().Str("event", "backup.made").Str("path", path).Int64("bytes", sum.Bytes).Dur("duration", time.Since(began)).
		Func(func(e *zerolog.Event) {
			if sum.Warning != "" {
				e.Str("warning", sum.Warning)
			}
		}).Msg("a backup was made and checked")
	b.state.Kept, err = b.prune(at)
	if err != nil {
		b.state.Failed, b.state.FailedAt = err.Error(), now.UTC()
		b.log.Error().Str("event", "backup.failed").Str("path", b.folder).Err(err).Msg("an old backup could not be removed")
	}
}

func (b *backups) once(ctx context.Context, path string) (store.Summary, error) {
	info, err := os.Stat(b.folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return store.Summary{}, fmt.Errorf("backup.folder %s does not exist: mount its disk, or make it and give it to the user plugbeat runs as",
			b.folder)
	case err != nil:
		return store.Summary{}, fmt.Errorf("backup.folder: %w", err)
	case !info.IsDir():
		return store.Summary{}, fmt.Errorf("backup.folder %s is not a folder", b.folder)
	}
	// What a killed daemon left half made has this daemon's prefix and no name yet.
	half, _ := filepath.Glob(filepath.Join(b.folder, "."+b.prefix+"*.db.new-*")) // the pattern is well-formed
	for _, h := range half {
		_ = os.Remove(h) // what stays is only space
	}
	sum, err := b.save(ctx, path)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		err = fmt.Errorf("%w; plugbeat has to be allowed to write there: under systemd with ReadWritePaths=%s in the unit", err, b.folder)
	}
	return sum, err
}

// backupTime is the time in a backup's name, in UTC.
const backupTime = "20060102T150405Z"

// backupFile is one backup in the folder.
type backupFile struct {
	name string
	at   time.Time
}

// files lists this instance's backups, oldest first.
func (b *backups) files() ([]backupFile, error) {
	entries, err := os.ReadDir(b.folder)
	if err != nil {
		return nil, fmt.Errorf("backup.folder: %w", err)
	}
	var files []backupFile
	for _, e := range entries {
		text, ours := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".db"), b.prefix)
		at, err := time.Parse(backupTime, text)
		if ours && err == nil && e.Type().IsRegular() && e.Name() == b.prefix+text+".db" {
			files = append(files, backupFile{e.Name(), at})
		}
	}
	slices.SortFunc(files, func(x, y backupFile) int { return x.at.Compare(y.at) })
	return files, nil
}

// prune removes this instance's oldest backups beyond those that are kept and returns how
// many are there. Files from the future, which a clock that was wrong has left, are neither
// removed nor counted among those that are kept: how old they are is not known.
func (b *backups) prune(now time.Time) (kept int, err error) {
	files, err := b.files()
	if err != nil {
		return 0, err
	}
	kept = len(files)
	files = slices.DeleteFunc(files, func(f backupFile) bool { return f.at.After(now) })
	for _, f := range files[:max(0, len(files)-b.keep)] {
		if rerr := os.Remove(filepath.Join(b.folder, f.name)); rerr != nil {
			err = errors.Join(err, rerr)
			continue
		}
		kept--
	}
	return kept, err
}
