package oauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"plugbeat/server/web"
)

// pages are the steps of a login in an owner's browser.
type pages struct {
	owners
	printer
	fleet    Fleet
	app      web.Application
	connects *Connects
	logins   *logins
	// guesses bounds tries of one-time codes, signIns what is asked of a vendor, each by
	// who brings it about.
	guesses, signIns *web.Limits
}

// page serves a step of a login: what it returns as an error becomes a page, or sends
// the browser back to the application.
func (p *pages) page(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		if b, ok := errors.AsType[*backError](err); ok {
			answer := url.Values{"error": {b.code}}
			if b.description != "" {
				answer.Set("error_description", b.description)
			}
			maps.Copy(answer, b.more)
			p.redirect(w, r, b.app.back(answer))
			return
		}
		page, ok := errors.AsType[*pageError](err)
		switch {
		case ok:
		case errors.Is(err, errLogin):
			page = &pageError{status: http.StatusBadRequest,
				text: "This login is over, or it began in another browser, or the browser keeps no cookies. " +
					"Go back to where you came from and begin again."}
		default:
			page = &pageError{status: http.StatusInternalServerError,
				text: "Something went wrong here. Try again; the request is " + web.RequestID(w) + "."}
			p.replies.LogError(r, web.RequestID(w), page.status, err)
		}
		if page.retryAfter > 0 {
			w.Header()[web.HeaderRetryAfter] = []string{web.RetryAfter(page.retryAfter)}
		}
		_ = p.notice(w, page.status, "This did not work", page.text, nil) // writing to who may be gone
	})
}

// firstPage sends the owner to the vendor, or asks for a one-time code, as the sources
// are. Where there are both, the page offers both.
func (p *pages) firstPage(w http.ResponseWriter, r *http.Request, l login) error {
	signIns, codes := p.sources(l.Source)
	switch {
	case len(signIns) == 1 && len(codes) == 0:
		return p.toVendor(w, r, l, signIns[0])
	case len(signIns)+len(codes) == 0:
		return p.failed(l, "server_error", "no source of this plugbeat has vehicles to connect", nil)
	}
	return p.codePage(w, l, http.StatusOK, "", 0)
}

// sources names the sources whose owners sign in at a vendor and those that take one-time
// codes, among all or only the one that was asked for.
func (p *pages) sources(source string) (signIns, codes []string) {
	for _, src := range p.fleet.OwnerSources() {
		switch {
		case source != "" && src.Name != source:
		case src.SignIn:
			signIns = append(signIns, src.Name)
		default:
			codes = append(codes, src.Name)
		}
	}
	return signIns, codes
}

// connectPage answers GET /oauth/connect, which the command of an operator without an
// application prints.
func (p *pages) connectPage(w http.ResponseWriter, r *http.Request) error {
	l := p.logins.begin(w, r, nil)
	text := r.URL.Query().Get("id")
	if text == "" {
		return p.codePage(w, l, http.StatusOK, "", 0)
	}
	id, _ := web.ParseID(text)
	source, ok := p.connects.source(id, p.now())
	if !ok {
		return refusePage("This link is over. Ask for a new one: plugbeat vehicle connect --source NAME.")
	}
	l.Connect = id
	return p.toVendor(w, r, l, source)
}

// signIn answers GET /oauth/signin, the link to a vendor on the first page.
func (p *pages) signIn(w http.ResponseWriter, r *http.Request) error {
	l, err := p.logins.resume(r, stepSignIn, r.URL.Query().Get("login"))
	if err != nil {
		return err
	}
	return p.toVendor(w, r, l, l.Source)
}

// toVendor sends the browser to the vendor's Connect, which sends it back to
// /oauth/callback.
func (p *pages) toVendor(w http.ResponseWriter, r *http.Request, l login, source string) error {
	l.Source = source
	q := url.Values{}
	if l.App != nil {
		q = l.App.Vendor
	}
	l.ID = uuid.New()
	to, err := p.fleet.SignInURL(source, p.logins.callback(), p.logins.seal(stepVendor, l), q)
	if err != nil {
		return err
	}
	p.redirect(w, r, to)
	return nil
}

// codePage asks for a one-time code. It tells nothing of any vehicle, nor whether
// there are some.
func (p *pages) codePage(w http.ResponseWriter, l login, status int, bad string, wait time.Duration) error {
	d := pageData{Title: "Connect your vehicle", Text: "Enter the one-time code that whoever runs plugbeat gave you.", Bad: bad,
		CodeLogin: p.logins.seal(stepCode, l)}
	var signIns []string
	if l.App != nil {
		d.Small = p.askedBy(l.App)
		signIns, _ = p.sources(l.Source)
	}
	for _, source := range signIns {
		l.Source = source
		d.SignIns = append(d.SignIns, signInLink{source, p.below("/oauth/signin?") + url.Values{"login": {p.logins.seal(stepSignIn,
			l)}}.Encode()})
	}
	if wait > 0 {
		w.Header()[web.HeaderRetryAfter] = []string{web.RetryAfter(wait)}
	}
	return p.show(w, status, l.App, d)
}

// askedBy says who asks, and where the owner ends up.
func (p *pages) askedBy(app *authorization) string {
	return fmt.Sprintf("The application %s asks. You return to %s.", p.app.ClientID, originOf(app.RedirectURI))
}
