//go:build linux

// Package stop ends a daemon at a step of its work, as a crash would. Harness and
// daemon share a page of memory: the harness arms a step in it, and the daemon, when
// it comes to that step, kills itself there. What the daemon had under way is in the
// page after its end.
package stop

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Step is a place in the daemon's work.
type Step int64

// The steps. Those from Writing to Synced are in the middle of a commit of any kind;
// testdata/recorded.go.txt knows them by their numbers.
const (
	None           Step = iota
	BeforeRead          // what a read led to, before it is committed
	AfterRead           // and after, when nobody knows of it yet
	BeforeOutcomes      // what attempts led to
	AfterOutcomes       //
	BeforeChange        // any other commit: of a rotation, of a breaker's repair
	AfterChange         //
	BeforeRequest       // a delivery's, before anything of it is sent
	AfterRequest        // and when its answer has come and is booked nowhere
	Writing             // before a write to the data file
	Syncing             // before a sync of the data file
	Synced              // after it
	Moment              // any moment, chosen by the harness
)

// Steps lists every step.
var Steps = [...]Step{
	BeforeRead, AfterRead, BeforeOutcomes, AfterOutcomes, BeforeChange, AfterChange,
	BeforeRequest, AfterRequest, Writing, Syncing, Synced, Moment,
}

// String is the step in words.
func (s Step) String() string {
	return [...]string{
		"none", "before a reading is committed", "after a reading is committed", "before outcomes are committed", "after outcomes are committed",
		"before another commit", "after another commit",
		"before a request", "after a request", "before a write", "before a sync", "after a sync", "any moment",
	}[s]
}

// Disk is what the data file's disk does to the daemon's writes.
type Disk int64

// What a disk does. One that refuses refuses an eighth of the writes and syncs, so that
// commits are cut off in all places.
const (
	Well Disk = iota
	Full
	ReadOnly
)

// String is the disk in words.
func (d Disk) String() string { return [...]string{"well", "full", "read-only"}[d] }

// PageFile and RecordFile name the environment variables that tell the daemon where
// the page is, and where it keeps the record of its writes. Clock is by how many
// seconds its clock is off.
const (
	PageFile   = "PLUGBEAT_CRASH_PAGE"
	RecordFile = "PLUGBEAT_CRASH_RECORD"
	Clock      = "PLUGBEAT_CRASH_CLOCK"
)

// Page is the shared memory. Its methods are safe for concurrent use.
type Page struct{ words *words }

// words is the page; testdata/recorded.go.txt knows the places.
type words struct{ armed, countdown, reached, flying, disk, refused atomic.Int64 }

// Open maps the page in a file, which it makes where there is none.
func Open(path string) (*Page, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(4096); err != nil {
		return nil, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED) //nolint:gosec // a small number
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &Page{(*words)(unsafe.Pointer(unsafe.SliceData(b)))}, nil
}

// Reset clears the page; no daemon runs.
func (p *Page) Reset() {
	w := p.words
	for _, x := range []*atomic.Int64{&w.armed, &w.countdown, &w.reached, &w.flying, &w.disk, &w.refused} {
		x.Store(0)
	}
}

// Arm ends the daemon when it comes to the step, with requests in flight, for the nth
// time from now.
func (p *Page) Arm(s Step, nth int) {
	p.words.countdown.Store(int64(nth))
	p.words.armed.Store(int64(s))
}

// Reach ends the process if the step is the one that is armed and requests are in
// flight.
func (p *Page) Reach(s Step) {
	if p.words.armed.Load() != int64(s) || p.words.flying.Load() <= 0 || p.words.countdown.Add(-1) != 0 {
		return
	}
	p.words.reached.Store(int64(s))
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// Reached is the step at which the daemon ended itself.
func (p *Page) Reached() Step { return Step(p.words.reached.Load()) }

// Fly counts requests of deliveries that have left, and takes away those whose
// outcome is committed.
func (p *Page) Fly(by int) { p.words.flying.Add(int64(by)) }

// InFlight is how many requests have left whose outcome is not committed.
func (p *Page) InFlight() int { return int(p.words.flying.Load()) }

// SetDisk makes the disk be so from now on.
func (p *Page) SetDisk(d Disk) { p.words.disk.Store(int64(d)) }

// Refused is how many writes and syncs the disk refused.
func (p *Page) Refused() int { return int(p.words.refused.Load()) }
