package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"plugbeat/adminapi"
	"plugbeat/webhook"
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

// checkedCopy copies the data file to this machine's disk and looks for what is
// wrong in the copy, so that the daemon's own file has no long reader. use gets the
// copy, which is gone when it returned. One copy is made at a time.
func (s *Server) checkedCopy(ctx context.Context, use func(file string, problems []adminapi.Problem) error) error {
	if !s.checking.TryLock() {
		return &adminapi.Error{Code: adminapi.CodeUnavailable, Message: "the data file is being copied already, for a check or a backup", Hint: "wait for it to end"}
	}
	defer s.checking.Unlock()
	s.clearCheckDir()
	dir, err := os.MkdirTemp(s.CheckDir, checkPrefix)
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
	if err := s.Store.Copy(ctx, file); err != nil {
		return fmt.Errorf("copy the data file: %w", err)
	}
	problems, err := s.Upkeep.CheckFile(file)
	if err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	return use(file, problems)
}

// check looks for what is wrong in a copy of the data file.
func (s *Server) check(r *http.Request) (any, error) {
	began := s.Now()
	out := adminapi.Checked{Problems: []adminapi.Problem{}}
	err := s.checkedCopy(r.Context(), func(file string, problems []adminapi.Problem) error {
		out.Problems = append(out.Problems, problems...)
		if info, err := os.Stat(file); err == nil {
			out.Bytes = info.Size()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Duration = s.Now().Sub(began)
	return out, nil
}
