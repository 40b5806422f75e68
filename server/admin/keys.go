package admin

import (
	"errors"
	"net/http"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
	"plugbeat/words"
)

// keys rotates the signing keys of webhooks.
type keys struct{ deliveries Deliveries }

// change makes one step of the rotation of a webhook's signing key.
func (h keys) change(r *http.Request, w webhook.Webhook) (any, error) {
	var k adminapi.KeyChange
	var err error
	if err := decode(r, &k); err != nil {
		return nil, err
	}
	if k.Overlap != "" && k.Step != adminapi.KeyRotate {
		return nil, &webhook.Invalid{Field: "overlap", Value: web.Clip(k.Overlap), Allowed: "only with the step rotate"}
	}
	if k.Force && k.Step != adminapi.KeyFinish {
		return nil, &webhook.Invalid{Field: "force", Value: "true", Allowed: "only with the step finish"}
	}
	name, out := words.Shell(w.Name), adminapi.KeyChanged{}
	switch k.Step {
	case adminapi.KeyRotate:
		overlap := adminapi.DefaultKeyOverlap
		if k.Overlap != "" {
			if overlap, err = time.ParseDuration(k.Overlap); err != nil {
				return nil, &webhook.Invalid{Field: "overlap", Value: web.Clip(k.Overlap), Allowed: "0s to 720h"}
			}
		}
		if out.Webhook, err = h.deliveries.RotateKey(r.Context(), w.ID, overlap); err == nil {
			out.SigningKey = signing.FormatKey(out.Webhook.Key)
		}
		err = keyHint(err, "end that overlap first: plugbeat webhook rotate-key "+name+" --finish; "+
			"or, when the new key was lost, take it back: plugbeat webhook rotate-key "+name+" --cancel")
	case adminapi.KeyTry:
		var a webhook.Attempt
		if out.Webhook, a, err = h.deliveries.TryKey(r.Context(), w.ID); err == nil {
			out.Attempt = &a
		}
		err = keyHint(err, "see: plugbeat webhook show "+name)
	case adminapi.KeyFinish:
		out.Webhook, out.Attempt, err = h.deliveries.FinishKey(r.Context(), w.ID, k.Force)
		err = keyHint(err, "give the receiver the new key and try again, or end the overlap all the same: "+
			"plugbeat webhook rotate-key "+name+" --finish --force")
	case adminapi.KeyCancel:
		out.Webhook, err = h.deliveries.CancelKey(r.Context(), w.ID)
		err = keyHint(err, "see: plugbeat webhook show "+name)
	default:
		return nil, &webhook.Invalid{Field: "step", Value: web.Clip(string(k.Step)), Allowed: "rotate, try, finish or cancel"}
	}
	return out, err
}

// keyHint says what to do about a step that cannot be made now.
func keyHint(err error, hint string) error {
	if errors.Is(err, webhook.ErrConflict) {
		return &web.Hinted{Err: err, Hint: hint}
	}
	return err
}
