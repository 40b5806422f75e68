package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// dataFile checks copies of the data file and sends them.
type dataFile struct {
	*Options
	checking sync.Mutex // one copy of the data file at a time
	sending  sync.Mutex // one backup at a time
}

// checkPrefix begins the names of the folders that copies are made in.
const checkPrefix = "plugbeat-check-"

// clearCheckDir removes the copies of checks that a killed daemon could not end.
// Only in a directory of its own: elsewhere another daemon may be at work.
func (f *dataFile) clearCheckDir() {
	if f.CheckDir == "" {
		return
	}
	left, _ := os.ReadDir(f.CheckDir) // MkdirTemp will say what is wrong with it
	for _, e := range left {
		if strings.HasPrefix(e.Name(), checkPrefix) {
			_ = os.RemoveAll(filepath.Join(f.CheckDir, e.Name())) // what stays is only space
		}
	}
}

// checkedCopy copies the data file to this machine's disk and looks for what is
// wrong in the copy, so that the daemon's own file has no long reader. use gets the
// copy, which is gone when it returned. One copy is made at a time.
func (f *dataFile) checkedCopy(ctx context.Context, use func(file string, problems []webhook.FileProblem) error) error {
	if !f.checking.TryLock() {
		return &adminapi.Error{Code: adminapi.CodeUnavailable, Message: "the data file is being copied already, for a check or a backup",
			Hint: "wait for it to end"}
	}
	defer f.checking.Unlock()
	f.clearCheckDir()
	dir, err := os.MkdirTemp(f.CheckDir, checkPrefix)
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("make a directory for the copy: %w (%w)", webhook.ErrReadOnly, err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("make a directory for the copy: %w (%w)", webhook.ErrNoSpace, err)
	}
	if err != nil {
		return fmt.Errorf("make a directory for the copy: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "copy.db")
	if err := f.Store.Copy(ctx, file); err != nil {
		return fmt.Errorf("copy the data file: %w", err)
	}
	problems, err := f.Upkeep.CheckFile(file)
	if err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	return use(file, problems)
}

// check looks for what is wrong in a copy of the data file.
func (f *dataFile) check(r *http.Request) (any, error) {
	began := f.Replies.Now()
	out := adminapi.Checked{Problems: []webhook.FileProblem{}}
	err := f.checkedCopy(r.Context(), func(file string, problems []webhook.FileProblem) error {
		out.Problems = append(out.Problems, problems...)
		if info, err := os.Stat(file); err == nil {
			out.Bytes = info.Size()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Duration = f.Replies.Now().Sub(began)
	return out, nil
}

// backup answers with a copy of the data file that was made and checked on this
// machine's disk first: a slow caller holds no reader of the daemon's own file.
func (f *dataFile) backup(r *http.Request) (_ any, err error) {
	if !f.sending.TryLock() {
		return nil, &adminapi.Error{Code: adminapi.CodeUnavailable, Message: "a backup is being sent already", Hint: "wait for it to end"}
	}
	d := download{name: "plugbeat-" + f.Replies.Now().UTC().Format("20060102T150405Z") + ".db", done: f.sending.Unlock}
	defer func() {
		if err != nil {
			d.done()
		}
	}()
	err = f.checkedCopy(r.Context(), func(file string, problems []webhook.FileProblem) (err error) {
		if n := len(problems); n > 0 {
			p := problems[0]
			return &adminapi.Error{Code: adminapi.CodeInternal,
				Message: fmt.Sprintf("the data file is not sound: %d problems, the first in %s %s: %s", n, p.Bucket, p.Key, p.Text),
				Hint:    "see them all: plugbeat check; then restore the last good backup"}
		}
		d.file, err = os.Open(file)
		return err
	})
	return d, err
}

// download is an answer that is a file. The file has no name any more while it is
// sent, so that nothing is left of it whatever happens.
type download struct {
	name string
	file *os.File
	done func()
}

// A download is sent in pieces; each must have left within the time.
const (
	downloadPiece = 1 << 20
	pieceTime     = time.Minute
)

// send sends the file and ends the download. Its error means that nothing was
// sent; what is cut off later is shorter than its Content-Length, so that nobody
// takes it for whole.
func (d download) send(w http.ResponseWriter, _ *http.Request) error {
	defer d.done()
	defer func() { _ = d.file.Close() }() // only read
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	h.Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	conn := http.NewResponseController(w)
	for err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(pieceTime)) // what is no connection has none
		_, err = io.CopyN(w, d.file, downloadPiece)
	}
	return nil
}
