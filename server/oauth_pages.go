package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// The pages have no script and ask for nothing outside themselves.

const css = `body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.4rem}label{display:block;margin:.4rem 0}input[type=text]{font:inherit;font-family:ui-monospace,monospace;letter-spacing:.1em;padding:.4rem;width:12rem;text-transform:uppercase}
button{font:inherit;padding:.5rem 1.2rem;margin:.6rem .6rem 0 0;border:1px solid #555;border-radius:.3rem;background:#f2f2f2;color:#1a1a1a;cursor:pointer}button.yes{background:#14532d;border-color:#14532d;color:#fff}
.bad{color:#9b1c1c}.small{color:#555;font-size:.9rem;overflow-wrap:anywhere}ul{padding-left:1.2rem}
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}.small{color:#aaa}.bad{color:#ff9b9b}}`

const pageText = `{{define "page"}}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex"><title>{{.Title}} - plugbeat</title><style>{{.CSS}}</style></head>
<body><main><h1>{{.Title}}</h1>
{{with .Bad}}<p class="bad" role="alert">{{.}}</p>
{{end}}{{with .Text}}<p>{{.}}</p>
{{end}}{{if .CodeLogin}}<form method="post" action="{{.Below}}/code">
<input type="hidden" name="login" value="{{.CodeLogin}}">
<label for="code">One-time code</label>
<input type="text" id="code" name="code" autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" maxlength="20" required autofocus>
<div><button class="yes">Continue</button></div>
</form>
{{end}}{{range .SignIns}}<p><a href="{{.Href}}">Sign in at the make of your car ({{.Source}})</a></p>
{{end}}{{if .ConsentLogin}}<form method="post" action="{{.Below}}/consent">
<input type="hidden" name="login" value="{{.ConsentLogin}}">
{{range .Offered}}<label><input type="checkbox" name="vehicle" value="{{.ID}}"{{if .Chosen}} checked{{end}}> {{.Name}} <span class="small">{{.ID}}</span></label>
{{end}}{{with .Permissions}}<p>It may:</p><ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}<button class="yes" name="answer" value="allow">Allow</button><button name="answer" value="deny" formnovalidate>Deny</button>
</form>
{{end}}{{with .Vehicles}}<ul>{{range .}}<li>{{.Name}} <span class="small">{{.ID}}</span></li>{{end}}</ul>
{{end}}{{with .Small}}<p class="small">{{.}}</p>
{{end}}</main></body></html>
{{end}}`

// pageData is what a page shows.
type pageData struct {
	Title, Bad, Text, Small string
	CSS                     template.CSS
	Below                   string
	CodeLogin, ConsentLogin string
	SignIns                 []signInLink
	Offered, Vehicles       []pageCar
	Permissions             []string
}

type signInLink struct{ Source, Href string }

type pageCar struct {
	ID     uuid.UUID
	Name   string
	Chosen bool
}

func carsOf(vs []vehicle.Vehicle, chosen bool) []pageCar {
	cars := make([]pageCar, len(vs))
	for i, v := range vs {
		name := strings.TrimSpace(v.Make + " " + v.Model)
		if v.Year > 0 {
			name += fmt.Sprintf(" %d", v.Year)
		}
		cars[i] = pageCar{ID: v.ID, Name: name, Chosen: chosen}
	}
	return cars
}

// show writes a page.
func (s *Server) show(w http.ResponseWriter, status int, app *authorization, d pageData) error {
	d.CSS, d.Below = css, s.below("/oauth")
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, "page", d); err != nil {
		return fmt.Errorf("print page: %w", err)
	}
	form := "'self'"
	if app != nil {
		form = formTargets(app.RedirectURI)
	}
	style := sha256.Sum256([]byte(css))
	write(w, status, map[string]string{
		"content-type":            "text/html; charset=utf-8",
		"content-security-policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) + "'; form-action " + form + "; frame-ancestors 'none'; base-uri 'none'",
		"x-frame-options":         "DENY",
		"x-content-type-options":  "nosniff",
		"referrer-policy":         "no-referrer",
	}, b.Bytes())
	return nil
}

// formTargets is where a form may lead: here, and from here on to the application,
// which may send the browser on in turn. Browsers hold a form's whole way to the policy,
// so that naming the application's origin alone would end the way in the middle.
func formTargets(redirectURI string) string {
	scheme, _, _ := strings.Cut(redirectURI, ":")
	if scheme == "https" {
		return "'self' https:"
	}
	return "'self' https: " + scheme + ":"
}

// originOf is the place of a redirect URI as an owner reads it.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// notice writes a page that ends a login.
func (s *Server) notice(w http.ResponseWriter, status int, title, text string, vs []vehicle.Vehicle) error {
	d := pageData{Title: title, Text: text, Vehicles: carsOf(vs, false)}
	if status >= 400 {
		d.Text, d.Bad = "", text
	}
	return s.show(w, status, nil, d)
}

// codePage asks for a one-time code. It tells nothing of any vehicle, nor whether
// there are some.
func (s *Server) codePage(w http.ResponseWriter, l login, status int, bad string, wait time.Duration) error {
	d := pageData{Title: "Connect your car", Text: "Enter the one-time code that whoever runs plugbeat gave you.", Bad: bad, CodeLogin: s.logins.seal(stepCode, l)}
	var signIns []string
	if l.App != nil {
		d.Small = s.askedBy(l.App)
		signIns, _ = s.doors(l.Source)
	}
	for _, source := range signIns {
		l.Source = source
		d.SignIns = append(d.SignIns, signInLink{source, s.below("/oauth/signin?") + url.Values{"login": {s.logins.seal(stepSignIn, l)}}.Encode()})
	}
	if wait > 0 {
		w.Header()[headerRetryAfter] = []string{retryAfter(wait)}
	}
	return s.show(w, status, l.App, d)
}

// askedBy says who asks, and where the owner ends up.
func (s *Server) askedBy(app *authorization) string {
	return fmt.Sprintf("The application %s asks. You return to %s.", s.Application.ClientID, originOf(app.RedirectURI))
}

// loginForm reads the form of a step.
func (s *Server) loginForm(r *http.Request, at step) (login, url.Values, error) {
	body, err := readBody(r)
	if err != nil {
		return login{}, nil, refusePage("The form cannot be read.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["login"]) != 1 {
		return login{}, nil, refusePage("The form cannot be read.")
	}
	l, err := s.resume(r, at, form.Get("login"))
	return l, form, err
}

// enterCode answers POST /oauth/code: a right one-time code opens the page that lists
// the vehicles.
func (s *Server) enterCode(w http.ResponseWriter, r *http.Request) error {
	l, form, err := s.loginForm(r, stepCode)
	if err != nil {
		return err
	}
	// Right ones count too, so that how long it takes tells nothing.
	if wait := s.connects.guesses.take(s.Now(), guessBurst, guessEvery); wait > 0 {
		return s.codePage(w, l, http.StatusTooManyRequests, "There were too many tries. Wait a few seconds and try again.", wait)
	}
	id, source, ok := s.connects.claim(form.Get("code"), l.Browser, s.Now())
	if !ok {
		s.Log.Warn().Str("event", "oauth.wrong_code").Msg("a one-time code was wrong, used or over")
		return s.codePage(w, l, http.StatusForbidden, "This code is wrong, used or over.", 0)
	}
	l.Connect, l.Source = id, source
	return s.consentPage(w, r, l, "")
}

// consentPage lists the vehicles, all chosen at first, and asks for consent.
func (s *Server) consentPage(w http.ResponseWriter, r *http.Request, l login, bad string) error {
	vs, err := s.Fleet.Offered(r.Context(), l.Source)
	if err != nil {
		return err
	}
	if len(vs) == 0 {
		return s.failed(l, "no_vehicles", "the source has no vehicles", nil)
	}
	d := pageData{Title: "Connect your car", Bad: bad, ConsentLogin: s.logins.seal(stepConsent, l), Offered: carsOf(vs, bad == "")}
	d.Text = "These vehicles are connected to plugbeat, which reads their location, charge and battery, if you allow it."
	if l.App != nil {
		d.Text = "The application " + s.Application.ClientID + " asks to reach these vehicles through plugbeat."
		d.Small = s.askedBy(l.App)
		scope := l.App.Scope
		if len(scope) == 0 { // it asks for all there is
			scope = served()
		}
		for _, p := range scope {
			d.Permissions = append(d.Permissions, inWords(p))
		}
	}
	return s.show(w, http.StatusOK, l.App, d)
}

// inWords is a permission as an owner reads it.
func inWords(permission string) string {
	words := map[string]string{
		"read_battery": "read the battery's level and range", "read_charge": "read whether the car is plugged in and charges", "read_location": "read where the car is",
		"read_odometer": "read the odometer", "read_vehicle_info": "read make, model and year", "read_vin": "read the VIN",
		"read_charge_events": "be told when charging starts and ends", "control_charge": "start and stop charging",
	}
	if w := words[permission]; w != "" {
		return w
	}
	return permission
}

// consent answers POST /oauth/consent.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) error {
	l, form, err := s.loginForm(r, stepConsent)
	if err != nil {
		return err
	}
	var ids []uuid.UUID
	for _, text := range form["vehicle"] {
		id, ok := parseID(text)
		if !ok {
			return refusePage("The form cannot be read.")
		}
		ids = append(ids, id)
	}
	allow := form.Get("answer") == "allow"
	if allow && len(ids) == 0 {
		return s.consentPage(w, r, l, "Choose a vehicle, or deny.")
	}
	if !s.connects.take(l.Connect, s.Now()) {
		return refusePage("This one-time code was used already, or is over. Ask for a new one.")
	}
	if !allow {
		return s.failed(l, "access_denied", "the owner denied access", nil)
	}
	vs, err := s.Fleet.ConnectOffered(r.Context(), l.Source, ids)
	if err != nil {
		s.connects.back(l.Connect)
		return err
	}
	if len(vs) == 0 {
		s.connects.back(l.Connect)
		return s.consentPage(w, r, l, "Choose a vehicle, or deny.")
	}
	return s.connected(r.Context(), w, r, l, vs)
}
