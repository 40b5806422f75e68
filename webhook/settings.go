package webhook

import "cmp"

// SettingsChange is what of a webhook's settings shall change; nil fields stay.
type SettingsChange struct {
	Name         *string  `json:"name,omitempty"`
	CallbackURI  *string  `json:"callback_uri,omitempty"`
	Cadence      *Cadence `json:"cadence,omitempty"`
	Content      *Content `json:"content,omitempty"`
	Signing      *Signing `json:"signing,omitempty"`
	AllowPrivate *bool    `json:"allow_private,omitempty"`
	Recover      *Policy  `json:"recover,omitempty"` // empty returns to the daemon's default
}

// Apply changes the settings of a webhook.
func (c SettingsChange) Apply(w *Webhook) {
	set(&w.Name, c.Name)
	set(&w.CallbackURI, c.CallbackURI)
	set(&w.Cadence, c.Cadence)
	set(&w.Content, c.Content)
	set(&w.Signing, c.Signing)
	set(&w.AllowPrivate, c.AllowPrivate)
	set(&w.Recover, c.Recover)
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// CheckSettings refuses settings of a webhook that cannot be, as an *[Invalid]. What it
// leaves to others: whether the callback can be reached, and the cadence.
func CheckSettings(w *Webhook) error {
	return cmp.Or(CheckName(w.Name), CheckContent(w.Type, w.Content), CheckSigning(w.Signing), CheckPolicy(w.Recover))
}
