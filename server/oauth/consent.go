package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/vehicle"
)

// callback answers GET /oauth/callback, where the vendor sends the browser back to.
func (p *pages) callback(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Get("state") == "" && q.Get("vehicle_id") != "" && q.Get("error") == "" {
		return p.notice(w, http.StatusOK, "Signed in again", "The vehicle is read again from its next reading on. You may close this page.", nil)
	}
	l, err := p.logins.resume(r, stepVendor, q.Get("state"))
	if err != nil {
		return err
	}
	from, _ := web.Caller(r)
	if wait := p.signIns.Wait(from, p.now()); wait > 0 && q.Has("code") {
		return &pageError{status: http.StatusTooManyRequests,
			text: "Too many owners sign in at once. Wait a few seconds and load this page again.", retryAfter: wait}
	}
	if !p.logins.spend(l) {
		return errLogin // before a token is taken: it costs nobody else anything
	}
	if code := q.Get("error"); code != "" {
		more := url.Values{}
		for _, name := range vendorErrors[1:] {
			if v := q.Get(name); v != "" {
				more.Set(name, web.Clip(v))
			}
		}
		return p.failed(l, web.Clip(code), web.Clip(q.Get(vendorErrors[0])), more)
	}
	code := q.Get("code")
	if code == "" {
		return refusePage("The vendor sent neither a code nor an error.")
	}
	if l.Connect != uuid.Nil && !p.connects.take(l.Connect, p.now()) {
		return refusePage("This link is over. Ask for a new one: plugbeat vehicle connect --source NAME.")
	}
	p.signIns.Take(from, p.now())
	vs, err := p.fleet.SignedIn(r.Context(), l.Source, code, p.logins.callback())
	if err != nil {
		p.signInFailed(l.Source, err)
		why := "the vendor did not take its own code"
		if f, ok := errors.AsType[*vehicle.Fault](err); ok {
			why = web.Clip(f.Description)
		}
		return p.failed(l, "server_error", why+": begin again", nil)
	}
	if len(vs) == 0 {
		return p.failed(l, "no_vehicles", "the account has no vehicles", nil)
	}
	return p.connected(r.Context(), w, r, l, vs)
}

func (p *pages) signInFailed(source string, err error) {
	if more, ok := p.replies.Line("oauth.signin_failed"); ok {
		p.replies.Log.Warn().Str("event", "oauth.signin_failed").Str("source", source).Err(err).Int("more", more).
			Msg("an owner came back from the vendor and the vendor's code gave no vehicles")
	}
}

// connected ends a login whose vehicles are connected: the application gets a code.
func (p *pages) connected(ctx context.Context, w http.ResponseWriter, r *http.Request, l login, vs []vehicle.Vehicle) error {
	if l.App == nil {
		p.connects.end(l.Connect, adminapi.ConnectDone, vs, "", false)
		return p.notice(w, http.StatusOK, "Connected", "You may close this page.", vs)
	}
	code := web.NewIssued()
	c := p.consentTo(vs, l.App.Scope)
	c.Code = &access.AuthCode{Hash: access.CodeHash(code), ExpiresAt: c.CreatedAt.Add(access.CodeLife), RedirectURI: l.App.RedirectURI,
		RedirectGiven: l.App.RedirectGiven, Challenge: l.App.Challenge}
	if p.replies.Doubted() {
		c.Doubt()
	}
	if err := p.store.PutConsent(context.WithoutCancel(ctx), c); err != nil {
		p.connects.back(l.Connect)
		return err
	}
	if err := p.narrow(context.WithoutCancel(ctx), c); err != nil {
		return err
	}
	p.connects.end(l.Connect, adminapi.ConnectDone, vs, "", true)
	p.replies.Log.Info().Str("event", "oauth.consented").Stringer("consent", c.ID).Str("source", c.Source).Int("vehicles", len(vs)).
		Msg("an owner allowed the application to reach vehicles")
	p.redirect(w, r, l.App.back(url.Values{"code": {code}}))
	return nil
}

// failed ends a login without vehicles.
func (p *pages) failed(l login, code, description string, more url.Values) error {
	p.connects.end(l.Connect, adminapi.ConnectFailed, nil, strings.TrimSpace(code+": "+description), l.App != nil)
	if more, ok := p.replies.Line("oauth.not_consented"); ok {
		p.replies.Log.Info().Str("event", "oauth.not_consented").Str("source", l.Source).Str("error", code).Int("more", more).
			Msg("a login ended without vehicles")
	}
	if l.App == nil {
		return refusePage("Nothing was connected: %s %s", code, description)
	}
	return &backError{app: l.App, code: code, description: description, more: more}
}

// What strangers may have asked of a vendor.
const (
	signInBurst = 20
	signInEvery = 3 * time.Second
)

// enterCode answers POST /oauth/code: a right one-time code opens the page that lists
// the vehicles.
func (p *pages) enterCode(w http.ResponseWriter, r *http.Request) error {
	l, form, err := p.logins.form(r, stepCode)
	if err != nil {
		return err
	}
	// Right ones count too, so that how long it takes tells nothing. Who cannot be told
	// from others is bounded by his page, not together with them.
	from, apart := web.Caller(r)
	if !apart {
		from = l.Browser
	}
	if wait := p.guesses.Take(from, p.now()); wait > 0 {
		return p.codePage(w, l, http.StatusTooManyRequests, "There were too many tries. Wait a few seconds and try again.", wait)
	}
	id, source, ok := p.connects.claim(form.Get("code"), l.Browser, p.now())
	if !ok {
		if more, ok := p.replies.Line("oauth.wrong_code"); ok {
			p.replies.Log.Warn().Str("event", "oauth.wrong_code").Int("more", more).Msg("a one-time code was wrong, used or over")
		}
		return p.codePage(w, l, http.StatusForbidden, "This code is wrong, used or over.", 0)
	}
	l.Connect, l.Source = id, source
	return p.consentPage(w, r, l, "")
}

// consentPage lists the vehicles, all chosen at first, and asks for consent.
func (p *pages) consentPage(w http.ResponseWriter, r *http.Request, l login, bad string) error {
	vs, err := p.fleet.Offered(r.Context(), l.Source)
	if err != nil {
		return err
	}
	if len(vs) == 0 {
		return p.failed(l, "no_vehicles", "the source has no vehicles", nil)
	}
	d := pageData{Title: "Connect your vehicle", Bad: bad, ConsentLogin: p.logins.seal(stepConsent, l), Offered: listed(vs, bad == "")}
	d.Text = "These vehicles are connected to plugbeat, which reads their location, charge and battery, if you allow it."
	if l.App != nil {
		d.Text = "The application " + p.app.ClientID + " asks to reach these vehicles through plugbeat."
		d.Small = p.askedBy(l.App)
		scope := l.App.Scope
		if len(scope) == 0 { // it asks for all there is
			scope = web.Permissions()
		}
		for _, p := range scope {
			d.Permissions = append(d.Permissions, inWords(p))
		}
	}
	return p.show(w, http.StatusOK, l.App, d)
}

// inWords is a permission as an owner reads it.
func inWords(permission string) string {
	words := map[string]string{
		"read_battery": "read the battery's level and range", "read_charge": "read whether the vehicle is plugged in and charges",
		"read_location": "read where the vehicle is",
		"read_odometer": "read the odometer", "read_vehicle_info": "read make, model and year", "read_vin": "read the VIN",
		"read_charge_events": "be told when charging starts and ends", "control_charge": "start and stop charging",
	}
	if w := words[permission]; w != "" {
		return w
	}
	return permission
}

// consent answers POST /oauth/consent.
func (p *pages) consent(w http.ResponseWriter, r *http.Request) error {
	l, form, err := p.logins.form(r, stepConsent)
	if err != nil {
		return err
	}
	var ids []uuid.UUID
	for _, text := range form["vehicle"] {
		id, ok := web.ParseID(text)
		if !ok {
			return refusePage("The form cannot be read.")
		}
		ids = append(ids, id)
	}
	allow := form.Get("answer") == "allow"
	if allow && len(ids) == 0 {
		return p.consentPage(w, r, l, "Choose a vehicle, or deny.")
	}
	if !p.connects.take(l.Connect, p.now()) {
		return refusePage("This one-time code was used already, or is over. Ask for a new one.")
	}
	if !allow {
		return p.failed(l, "access_denied", "the owner denied access", nil)
	}
	vs, err := p.fleet.ConnectOffered(r.Context(), l.Source, ids)
	if err != nil {
		p.connects.back(l.Connect)
		return err
	}
	if len(vs) == 0 {
		p.connects.back(l.Connect)
		return p.consentPage(w, r, l, "Choose a vehicle, or deny.")
	}
	return p.connected(r.Context(), w, r, l, vs)
}
