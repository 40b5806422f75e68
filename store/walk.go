package store

import (
	"bytes"
	"context"
)

// defaultLimit is the size of a page when a caller's limit is not positive.
const defaultLimit = 100

func pageLimit(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return limit
}

const (
	// pageRows is how many rows one read transaction looks at.
	pageRows = 512
	// sliceRows is how many rows one operation of a removal or sweep changes.
	sliceRows = 128
)

// walk hands the rows of a bucket whose keys begin with prefix and are greater than after
// to row, until row returns false. One read transaction looks at no more than pageRows.
func (s *core) walk(ctx context.Context, bucket string, prefix, after []byte,
	row func(r reader, k, v []byte) (more bool, err error),
) error {
	after = bytes.Clone(after)
	for left := true; left; {
		left = false
		err := s.view(ctx, func(r reader) error {
			seen := 0
			for k, v := range r.rows(bucket, prefix, following(after)) {
				if seen++; seen > pageRows {
					left = true
					return nil
				}
				after = append(after[:0], k...)
				if more, err := row(r, k, v); err != nil || !more {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// selector chooses rows: take this one, and look at more.
type selector func(k, v []byte) (take, more bool)

// inSlices hands the rows of a bucket after the key that are selected to change, in
// operations of at most sliceRows rows, and returns what change made of those that it
// changed. A row that went away meanwhile is passed over. After an error it returns what
// was committed before.
func inSlices[T any](ctx context.Context, s *core, bucket string, after []byte, selects selector,
	change func(t *writeTx, k []byte) (made T, changed bool, err error),
) (all []T, err error) {
	for full := true; full; {
		var found [][]byte
		full = false
		err := s.walk(ctx, bucket, nil, after, func(_ reader, k, v []byte) (bool, error) {
			take, more := selects(k, v)
			if take {
				found = append(found, bytes.Clone(k))
			}
			full = more && len(found) == sliceRows
			return more && !full, nil
		})
		if err != nil {
			return all, err
		}
		if len(found) == 0 {
			return all, nil
		}
		after = found[len(found)-1]
		var slice []T
		err = s.updateAs(ctx, StepSlice, func(t *writeTx) error {
			slice = nil
			for _, k := range found {
				if !t.has(bucket, k) {
					continue
				}
				made, changed, err := change(t, k)
				if err != nil {
					return err
				}
				if changed {
					slice = append(slice, made)
				}
			}
			return nil
		})
		if err != nil {
			return all, err
		}
		all = append(all, slice...)
	}
	return all, nil
}
