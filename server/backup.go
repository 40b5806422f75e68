package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"plugbeat/adminapi"
)

// backup answers with a copy of the data file that was made and checked on this
// machine's disk first: a slow caller holds no reader of the daemon's own file.
func (s *Server) backup(r *http.Request) (_ any, err error) {
	if !s.sending.TryLock() {
		return nil, &adminapi.Error{Code: adminapi.CodeUnavailable, Message: "a backup is being sent already", Hint: "wait for it to end"}
	}
	d := download{name: "plugbeat-" + s.Now().UTC().Format("20060102T150405Z") + ".db", done: s.sending.Unlock}
	defer func() {
		if err != nil {
			d.done()
		}
	}()
	err = s.checkedCopy(r.Context(), func(file string, problems []adminapi.Problem) (err error) {
		if n := len(problems); n > 0 {
			p := problems[0]
			return &adminapi.Error{Code: adminapi.CodeInternal, Message: fmt.Sprintf("the data file is not sound: %d problems, the first in %s %s: %s", n, p.Bucket, p.Key, p.Text),
				Hint: "see them all: plugbeat check; then restore the last good backup"}
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
