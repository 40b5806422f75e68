package server

import (
	"strings"
	"testing"
	"time"

	"plugbeat/webhook/api"
)

func TestRotateKey(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	do := func(k api.KeyChange) api.KeyChanged {
		t.Helper()
		return must[api.KeyChanged](t)(c.ChangeKey(ctx, "home", k))
	}
	_, err := c.ChangeKey(ctx, "home", api.KeyChange{Step: api.KeyCancel})
	refused(t, err, api.CodeConflict, "webhook home (", "one key", "plugbeat webhook show home")
	got := do(api.KeyChange{Step: api.KeyRotate})
	if o := got.Webhook.KeyOverlap; !strings.HasPrefix(got.SigningKey, "whsec_") || o == nil || o.Until.Sub(o.Since) != api.DefaultKeyOverlap || got.Attempt != nil {
		t.Errorf("rotated %+v", got)
	}
	_, err = c.ChangeKey(ctx, "home", api.KeyChange{Step: api.KeyRotate})
	refused(t, err, api.CodeConflict, "two keys", "rotate-key home --finish", "rotate-key home --cancel")
	if got = do(api.KeyChange{Step: api.KeyTry}); got.Attempt == nil || got.Attempt.Status != 401 || got.SigningKey != "" {
		t.Errorf("tried %+v", got)
	}
	_, err = c.ChangeKey(ctx, "home", api.KeyChange{Step: api.KeyFinish})
	refused(t, err, api.CodeConflict, "401", "rotate-key home --finish --force")
	if got = do(api.KeyChange{Step: api.KeyFinish, Force: true}); got.Webhook.KeyOverlap != nil || got.SigningKey != "" {
		t.Errorf("finished %+v", got)
	}
	if got = do(api.KeyChange{Step: api.KeyRotate, Overlap: "90m"}); got.Webhook.KeyOverlap.Until.Sub(got.Webhook.KeyOverlap.Since) != 90*time.Minute {
		t.Errorf("rotated %+v", got)
	}
	if got = do(api.KeyChange{Step: api.KeyCancel}); got.Webhook.KeyOverlap != nil {
		t.Errorf("cancelled %+v", got)
	}
}
