package server

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// checkPrefix begins the names of the folders that copies are made in.
const checkPrefix = "plugbeat-check-"

// clearCheckDir removes the copies of checks that a killed daemon could not end.
// Only in a directory of its own: elsewhere another daemon may be at work.
func (s *Server) clearCheckDir() {
	if s.CheckDir == "" {
		return
	}
	left, _ := os.ReadDir(s.CheckDir) // MkdirTemp will say what is wrong with it
	for _, e := range left {
		if strings.HasPrefix(e.Name(), checkPrefix) {
			_ = os.RemoveAll(filepath.Join(s.CheckDir, e.Name())) // what stays is only space
		}
	}
}

// check copies the data file to this machine's disk and looks for what is wrong in
// the copy, so that the daemon's own file has no long reader.
func (s *Server) check(r *http.Request) (any, error) {
	if !s.checking.TryLock() {
		return nil, &api.Error{Code: api.CodeUnavailable, Message: "a check is running already", Hint: "wait for it to end"}
	}
	defer s.checking.Unlock()
	began := s.Now()
	s.clearCheckDir()
	dir, err := os.MkdirTemp(s.CheckDir, checkPrefix)
	if errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("make a directory for the copy: %w (%w)", webhook.ErrReadOnly, err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil, fmt.Errorf("make a directory for the copy: %w (%w)", webhook.ErrNoSpace, err)
	}
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
