// Package intake serves /intake: what devices and scripts send to a source of the config, one
// JSON document a request.
//
// It guarantees that nothing of a document is looked at before its sender has shown a token
// for that source; that who has none learns nothing of which sources there are; and that
// guesses at tokens are bounded. What a document means is the source's to say.
//
// Change here how requests are answered. Tokens are server/web's.
package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/vehicle"
)

// Options are what the room is made of. Auth and Replies are needed.
type Options struct {
	// Sources are those that are sent documents, by name.
	Sources map[string]vehicle.Intake
	Auth    *web.Auth
	Replies *web.Replies
}

// API serves /intake.
type API struct {
	Options
	// guesses bounds wrong tokens, by who sends them.
	guesses *web.Limits
}

// Of wrong tokens a sender may send guessBurst at once, then one every guessEvery.
const (
	guessBurst = 30
	guessEvery = 3 * time.Second
)

// New returns the room.
func New(o Options) *API { return &API{o, web.NewLimits(guessBurst, guessEvery)} }

// Routes is the table of /intake.
func (a *API) Routes(mux web.Mux) {
	mux.Handle("POST /intake/{source}", http.HandlerFunc(a.serve))
	mux.Handle("/intake/{source}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["allow"] = []string{http.MethodPost}
		a.Replies.APIError(w, r, refusal(http.StatusMethodNotAllowed, "documents are sent with POST", "curl --json @FILE does that"))
	}))
}

// answer is that to a document: what became of it for each input of each vehicle.
type answer struct {
	// Error is there where nothing was taken.
	Error *adminapi.Error `json:"error,omitempty"`
	// Taken counts the inputs that became a value.
	Taken  int               `json:"taken"`
	Inputs []vehicle.Verdict `json:"inputs"`
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	source, err := a.admit(w, r)
	var document []byte
	if err == nil {
		document, err = read(r)
	}
	if err != nil {
		a.Replies.APIError(w, r, err)
		return
	}
	got := answer{Inputs: append([]vehicle.Verdict{}, source.Take(document)...)}
	for _, t := range got.Inputs {
		if t.Became != "" {
			got.Taken++
		}
	}
	status := http.StatusOK
	if got.Taken == 0 {
		status = http.StatusUnprocessableEntity
		got.Error = &adminapi.Error{Code: adminapi.CodeInvalid, Message: "nothing of the document was taken", RequestID: web.RequestID(w),
			Hint: "inputs says why, for each input of the source's maps; where it is empty no map speaks of such a document"}
	}
	_ = web.WriteJSON(w, status, got) // texts and a number
}

// admit returns the source that the request's token is good for, when it is the one of the
// path. A wrong token is answered alike whether or not there is a source of the name, and
// so is a token of another source. Who was wrong too often is not listened to for a while;
// where senders cannot be told apart, a right token is still taken.
func (a *API) admit(w http.ResponseWriter, r *http.Request) (vehicle.Intake, error) {
	from, apart := web.Caller(r)
	now := a.Replies.Now()
	wait := a.guesses.Wait(from, now)
	if wait == 0 || !apart {
		source, err := a.authenticate(r)
		if e, ok := errors.AsType[*adminapi.Error](err); !ok || e.Code != adminapi.CodeUnauthorized {
			return source, err
		}
		if wait = a.guesses.Take(from, now); wait == 0 {
			a.Replies.Refused(r, "no token of an intake")
			return nil, err
		}
	}
	w.Header()[web.HeaderRetryAfter] = []string{web.RetryAfter(wait)}
	return nil, &adminapi.Error{Code: adminapi.CodeUnavailable, Status: http.StatusTooManyRequests, Message: "the token was wrong too often",
		Hint: "try again later"}
}

func (a *API) authenticate(r *http.Request) (vehicle.Intake, error) {
	token, err := web.Bearer(r.Header)
	if err != nil {
		return nil, unauthorized("the request has no header Authorization: Bearer TOKEN, or more than one")
	}
	name, ok, err := a.Auth.Intake(r.Context(), token)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, unauthorized("there is no such token for an intake; it may have been revoked, or is for something else")
	case name != r.PathValue("source"):
		return nil, &adminapi.Error{Code: adminapi.CodeForbidden, Message: "the token is for the source " + name + " alone",
			Hint: "send to /intake/" + name + ", or make a token for the other source"}
	}
	source := a.Sources[name]
	if source == nil {
		return nil, &adminapi.Error{Code: adminapi.CodeNotFound, Message: "the source " + name + " is not sent documents any more",
			Hint: "look at its section in the config, and at the daemon's log"}
	}
	return source, nil
}

func unauthorized(message string) error {
	return &adminapi.Error{Code: adminapi.CodeUnauthorized, Message: message,
		Hint: "make one on the daemon's machine: plugbeat token add NAME --intake"}
}

func refusal(status int, message, hint string) error {
	return &adminapi.Error{Code: adminapi.CodeInvalid, Status: status, Message: message, Hint: hint}
}

// read returns the document, which is JSON.
func read(r *http.Request) ([]byte, error) {
	if t := r.Header.Get("Content-Type"); !isJSON(t) {
		return nil, refusal(http.StatusUnsupportedMediaType, "the content type is "+web.Quote(t),
			"send the header Content-Type: application/json")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, refusal(http.StatusUnsupportedMediaType, "the content encoding is "+web.Quote(e), "send the document as it is")
	}
	document, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, refusal(http.StatusRequestEntityTooLarge, fmt.Sprintf("the document is longer than %d bytes", tooLarge.Limit),
			"send what the map speaks of")
	}
	if err != nil {
		return nil, refusal(http.StatusBadRequest, "the document was cut off", "")
	}
	var any json.RawMessage
	if err := json.Unmarshal(document, &any); err != nil {
		return nil, refusal(http.StatusBadRequest, "the body is no JSON document: "+err.Error(), "")
	}
	return document, nil
}

// isJSON reports whether a content type is JSON's; so is none, which small devices send.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}
