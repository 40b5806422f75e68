package delivery

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Schedule is the waits before each retry, 1 to 20 of them. A step is a place in it,
// counted from 0.
type Schedule []time.Duration

// Each wait is lengthened by up to jitterShare of itself and by jitterMost at most,
// so that webhooks of one receiver do not retry in step.
const (
	jitterShare = 0.2
	jitterMost  = 10 * time.Minute
)

// wait returns how long the webhook waits at a step. Its jitter is a hash of both, so
// it is the same each time it is asked for. What the receiver asked for lengthens the
// wait, up to the schedule's longest, and never shortens it.
func (s Schedule) wait(webhookID uuid.UUID, step int, asked time.Duration) time.Duration {
	step = min(max(step, 0), len(s)-1)
	var key [20]byte
	copy(key[:], webhookID[:])
	binary.BigEndian.PutUint32(key[16:], uint32(step)) //nolint:gosec // at most 20
	sum := sha256.Sum256(key[:])
	share := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	wait := s[step] + min(time.Duration(float64(s[step])*jitterShare*share), jitterMost)
	return max(wait, min(asked, s.longest()))
}

// longest is the longest wait without jitter, which caps what a receiver may ask for.
func (s Schedule) longest() time.Duration { return slices.Max(s) }

// furthest is more than any wait, with its jitter.
func (s Schedule) furthest() time.Duration { return s.longest() + jitterMost }
