//go:build !linux

package cli

import "errors"

func diskOf(string) (disk, error) { return disk{}, errors.ErrUnsupported }

func clockSynchronised() (yes, known bool) { return false, false }

func listenerOf(uint16) string { return "" }
