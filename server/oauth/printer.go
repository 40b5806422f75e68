package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"plugbeat/server/web"
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
{{end}}{{range .SignIns}}<p><a href="{{.Href}}">Sign in at the make of your vehicle ({{.Source}})</a></p>
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

// printer writes pages and sends browsers on.
type printer struct {
	site
	text *template.Template
}

// pageData is what a page shows.
type pageData struct {
	Title, Bad, Text, Small string
	CSS                     template.CSS
	Below                   string
	CodeLogin, ConsentLogin string
	SignIns                 []signInLink
	Offered, Vehicles       []pageVehicle
	Permissions             []string
}

type signInLink struct{ Source, Href string }

type pageVehicle struct {
	ID     uuid.UUID
	Name   string
	Chosen bool
}

func listed(vs []vehicle.Vehicle, chosen bool) []pageVehicle {
	list := make([]pageVehicle, len(vs))
	for i, v := range vs {
		name := strings.TrimSpace(v.Make + " " + v.Model)
		if v.Year > 0 {
			name += fmt.Sprintf(" %d", v.Year)
		}
		list[i] = pageVehicle{ID: v.ID, Name: name, Chosen: chosen}
	}
	return list
}

// show writes a page.
func (p printer) show(w http.ResponseWriter, status int, app *authorization, d pageData) error {
	d.CSS, d.Below = css, p.below("/oauth")
	var b bytes.Buffer
	if err := p.text.ExecuteTemplate(&b, "page", d); err != nil {
		return fmt.Errorf("print page: %w", err)
	}
	form := "'self'"
	if app != nil {
		form = formTargets(app.RedirectURI)
	}
	style := sha256.Sum256([]byte(css))
	web.Write(w, status, map[string]string{
		"content-type": "text/html; charset=utf-8",
		"content-security-policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) + "'; form-action " +
			form + "; frame-ancestors 'none'; base-uri 'none'",
		"x-frame-options":        "DENY",
		"x-content-type-options": "nosniff",
		"referrer-policy":        "no-referrer",
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
func (p printer) notice(w http.ResponseWriter, status int, title, text string, vs []vehicle.Vehicle) error {
	d := pageData{Title: title, Text: text, Vehicles: listed(vs, false)}
	if status >= 400 {
		d.Text, d.Bad = "", text
	}
	return p.show(w, status, nil, d)
}

// redirect sends the browser on. It is a 303 after a form, so that the form is not
// sent there too.
func (p printer) redirect(w http.ResponseWriter, r *http.Request, to string) {
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	h := w.Header()
	h["location"] = []string{to}
	h["cache-control"] = []string{"no-store"}
	h["referrer-policy"] = []string{"no-referrer"}
	w.WriteHeader(status)
}
