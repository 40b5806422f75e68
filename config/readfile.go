package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ReadFile reads a small file of an operator's, which may also be a pipe that somebody writes
// to. A pipe that nobody writes to is not waited for, and what never ends is refused.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	if info, err := f.Stat(); err == nil && len(b) == 0 && info.Mode()&os.ModeNamedPipe != 0 {
		return nil, errors.New(path + " is a pipe, and nobody wrote into it")
	}
	return b, nil
}
