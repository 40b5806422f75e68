package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"plugbeat/webhook/api"
)

// check copies the data file to this machine's disk and looks for what is wrong in
// the copy, so that the daemon's own file has no long reader.
func (s *Server) check(r *http.Request) (any, error) {
	if !s.checking.TryLock() {
		return nil, &api.Error{Code: api.CodeUnavailable, Message: "a check is running already", Hint: "wait for it to end"}
	}
	defer s.checking.Unlock()
	began := s.Now()
	dir, err := os.MkdirTemp(s.CheckDir, "plugbeat-check-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the copy: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "copy.db")
	if err := s.Store.Copy(r.Context(), file); err != nil {
		return nil, fmt.Errorf("copy the data file: %w", err)
	}
	problems, err := s.Upkeep.CheckFile(file)
	if err != nil {
		return nil, fmt.Errorf("check the copy: %w", err)
	}
	if problems == nil {
		problems = []api.Problem{}
	}
	out := api.Checked{Problems: problems, Duration: s.Now().Sub(began)}
	if info, err := os.Stat(file); err == nil {
		out.Bytes = info.Size()
	}
	return out, nil
}
