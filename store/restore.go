package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// RestoreOptions says what is restored.
type RestoreOptions struct {
	// Path is the data file, which need not be there.
	Path string
	// From gives the backup and Name is what messages call it.
	From io.Reader
	Name string
	// Key is the data file's, which must be the backup's too.
	Key []byte
	// OtherInstance takes a backup of another instance than the data file's, and
	// DiscardNewer one without entries that the data file has.
	OtherInstance, DiscardNewer bool
	// Now names the file that is replaced; nil means time.Now.
	Now func() time.Time

	layout      layout                 // for tests
	flushFolder func(dir string) error // for tests; nil means [flushFolder]
}

// Restored is what a restore found and did.
type Restored struct {
	Backup Summary `json:"backup"`
	// Here is what the data file held; nil where there was none, or where it could
	// not be read, and Unreadable then says why.
	Here       *Summary `json:"here,omitempty"`
	Unreadable string   `json:"unreadable,omitempty"`
	// Loss is what of it the backup does not have.
	Loss Loss `json:"loss"`
	// Same is true when both hold the same, so that nothing was done.
	Same bool `json:"same"`
	// Kept is where the replaced file is now; empty when there was none.
	Kept string `json:"kept,omitempty"`
	// Warning says that the backup is in its place and may be lost in a power cut; empty
	// for no such trouble.
	Warning string `json:"warning,omitempty"`
	// NotMigrated says what of a backup of an older schema has no place in this one.
	NotMigrated []string `json:"not_migrated,omitempty"`
}

// Restore puts a backup in the place of the data file. It holds the data file's lock,
// so that no daemon runs meanwhile ([ErrInUse]). The backup is copied beside the data
// file first, brought to this version's schema and checked there with the key, and
// only then takes its name; what it replaces is kept under a dated name. Until that
// moment, and after any error, the data file is as it was.
//
// A backup that is damaged, newer or sealed with another key is refused. One of
// another instance, or without entries that the data file has, is ErrOther or
// ErrOlder unless the options allow it; what was found is returned all the same.
func Restore(ctx context.Context, o RestoreOptions) (res Restored, err error) {
	if o.layout.version == 0 {
		o.layout = thisLayout()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.flushFolder == nil {
		o.flushFolder = flushFolder
	}
	sl, err := newSealer(o.Key)
	if err != nil {
		return res, err
	}
	o.Path = resolved(o.Path)
	h, err := hold(o.Path)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, h.free()) }()
	dir := filepath.Dir(o.Path)
	if h.info == nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return res, fmt.Errorf("data directory: %w", diskError(err))
		}
		if h.info, err = os.Stat(dir); err != nil {
			return res, fmt.Errorf("data directory: %w", err)
		}
	}
	clearTemps(o.Path)
	temp, err := tempBeside(o.Path, nextPattern, func(f *os.File) error {
		_, err := io.Copy(whileContext{ctx, f}, o.From)
		return err
	})
	if err != nil {
		return res, fmt.Errorf("copy backup %s into %s: %w", o.Name, dir, diskError(err))
	}
	defer func() { _ = os.Remove(temp) }()
	_, notes, err := o.layout.bring(temp)
	for _, n := range notes {
		res.NotMigrated = append(res.NotMigrated, fmt.Sprintf("webhook %s: %s", n.name, n.text))
	}
	if err == nil {
		res.Backup, err = verify(ctx, temp, o.Name, o.layout, sl)
	}
	if err != nil {
		return res, asBackup(err, o.Name, "take another backup")
	}
	if err := h.compare(ctx, temp, o.layout, &res); err != nil {
		return res, err
	}
	switch {
	case res.Same:
		return res, nil
	case res.Here != nil && res.Here.Instance != res.Backup.Instance:
		if !o.OtherInstance {
			return res, fmt.Errorf("backup %s is %w (%s) than %s (%s)", o.Name, ErrOther, res.Backup.Instance, o.Path, res.Here.Instance)
		}
	case res.Here != nil && !res.Backup.Latest.After(res.Here.Latest), errors.Is(h.why, ErrNewer):
		if !o.DiscardNewer {
			return res, fmt.Errorf("backup %s is %w %s", o.Name, ErrOlder, o.Path)
		}
	}
	res.Kept, res.Warning, err = replacement{
		temp: temp, path: o.Path, info: h.info, keep: "replaced", now: o.Now(), flushFolder: o.flushFolder,
	}.do()
	if err != nil {
		return res, fmt.Errorf("put the backup in the place of %s: %w", o.Path, diskError(err))
	}
	return res, nil
}

// compare holds the data file against the backup that is to replace it. A data file
// that cannot be read is no error: it is what restoring is for.
func (h *held) compare(ctx context.Context, backup string, l layout, res *Restored) error {
	if h.db != nil {
		err := readFile(backup, l.version, defaultLockTimeout, func(there *bolt.Tx) error {
			return h.read(ctx, l, func(here *bolt.Tx) error {
				sum, err := summarise(reader{tx: here})
				if err != nil {
					return err
				}
				if res.Same, err = sameRows(ctx, here, there); err != nil {
					return err
				}
				res.Here = &sum
				res.Loss, err = lossOf(reader{tx: here}, reader{tx: there})
				return err
			})
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h.why = err
	}
	if h.why != nil {
		res.Here, res.Unreadable = nil, h.why.Error()
	}
	return nil
}
