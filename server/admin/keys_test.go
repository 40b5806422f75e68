package admin_test

import (
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
)

func TestRotateKey(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w, func(o *server.Options) { o.Now = time.Now }))
	w.Answer = 401
	do := func(k adminapi.KeyChange) adminapi.KeyChanged {
		t.Helper()
		return servertest.Must[adminapi.KeyChanged](t)(c.ChangeKey(ctx, "home", k))
	}
	_, err := c.ChangeKey(ctx, "home", adminapi.KeyChange{Step: adminapi.KeyCancel})
	servertest.Refused(t, err, adminapi.CodeConflict, "webhook home (", "one key", "plugbeat webhook show home")
	got := do(adminapi.KeyChange{Step: adminapi.KeyRotate})
	if o := got.Webhook.KeyOverlap; !strings.HasPrefix(got.SigningKey, "whsec_") || o == nil || o.Until.Sub(o.Since) != adminapi.DefaultKeyOverlap || got.Attempt != nil {
		t.Errorf("rotated %+v", got)
	}
	_, err = c.ChangeKey(ctx, "home", adminapi.KeyChange{Step: adminapi.KeyRotate})
	servertest.Refused(t, err, adminapi.CodeConflict, "two keys", "rotate-key home --finish", "rotate-key home --cancel")
	if got = do(adminapi.KeyChange{Step: adminapi.KeyTry}); got.Attempt == nil || got.Attempt.Status != 401 || got.SigningKey != "" {
		t.Errorf("tried %+v", got)
	}
	_, err = c.ChangeKey(ctx, "home", adminapi.KeyChange{Step: adminapi.KeyFinish})
	servertest.Refused(t, err, adminapi.CodeConflict, "401", "rotate-key home --finish --force")
	if got = do(adminapi.KeyChange{Step: adminapi.KeyFinish, Force: true}); got.Webhook.KeyOverlap != nil || got.SigningKey != "" {
		t.Errorf("finished %+v", got)
	}
	if got = do(adminapi.KeyChange{Step: adminapi.KeyRotate, Overlap: "90m"}); got.Webhook.KeyOverlap.Until.Sub(got.Webhook.KeyOverlap.Since) != 90*time.Minute {
		t.Errorf("rotated %+v", got)
	}
	if got = do(adminapi.KeyChange{Step: adminapi.KeyCancel}); got.Webhook.KeyOverlap != nil {
		t.Errorf("cancelled %+v", got)
	}
}
