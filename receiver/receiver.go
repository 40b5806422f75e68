// Package receiver is an application's side of a webhook: it answers challenges,
// verifies both signatures, keeps a list of what it got, and can be told to fail.
// The demo, `plugbeat listen` and the tests of the whole use it.
//
// It shares no code with the sender: its cryptography and its reading of the
// payload are written here, from docs/wire.md.
package receiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Check is what became of a look at one signature.
type Check string

// The results of a check. A signature is unchecked where its key is not known.
const (
	Right     Check = "right"
	Wrong     Check = "wrong"
	Absent    Check = "absent"
	Unchecked Check = "unchecked"
)

// Message is one request that arrived.
type Message struct {
	// ID is the webhook-id header, Event the payload's eventName.
	ID    string
	Event string
	// Webhook and Vehicle are the ids in the payload; Vehicle is empty for a
	// challenge.
	Webhook string
	Vehicle string
	// Happened is the eventType of an event and EventID its eventId; empty otherwise.
	Happened, EventID string
	// Plugged is what /charge says: "plugged in", "unplugged", or the code of
	// its error.
	Plugged string
	// Errors lists the error objects in the payload as "path type:code".
	Errors []string
	At     time.Time
	// Status is the status that was answered; 0 while the answer is pending.
	Status int
	// Smartcar and Standard tell whether each signature was right, the checks what
	// was found where one was not.
	Smartcar, Standard           bool
	SmartcarCheck, StandardCheck Check
	// Challenge is the text to sign, of a challenge only. It is refused, with 400,
	// unless it is made of what challenges are made of.
	Challenge string
	Header    http.Header
	Body      []byte
}

// OddChallenge reports whether the message is a challenge that no sender of
// challenges would make: answering it could sign a body of somebody's choice.
func (m Message) OddChallenge() bool {
	return m.Event == "verify" && !challengeText.MatchString(m.Challenge)
}

// challengeText is the narrow alphabet of challenges: plugbeat's are hex, Smartcar's
// are UUIDs.
var challengeText = regexp.MustCompile(`^[0-9A-Fa-f-]{16,64}$`)

// Answer is what a receiver's rule makes it do.
type Answer struct {
	Status int // 0 is 200
	Delay  time.Duration
	Header http.Header
	// Body is sent instead of a body of ours; only for what is no challenge.
	Body []byte
	// Drop closes the connection in the first line of the answer. Before its first byte
	// a client would make the request once more, on a new connection.
	Drop bool
}

// Receiver is an http.Handler. The zero value is not usable; see New.
type Receiver struct {
	token string

	mu       sync.Mutex
	keys     map[string][]byte
	spare    [][]byte // keys of webhooks not told apart
	either   bool
	rule     func(Message) Answer
	heard    func(Message)
	now      func() time.Time
	messages []Message
	accepted map[string]int
	open     int
}

// New returns a receiver that knows the application management token.
func New(managementToken string) *Receiver {
	return &Receiver{token: managementToken, keys: map[string][]byte{}, accepted: map[string]int{}, now: time.Now}
}

// Know tells the receiver a webhook's Standard Webhooks key, "whsec_" and base64.
func (r *Receiver) Know(webhook, key string) error {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[webhook] = raw
	return nil
}

// KnowAny tells the receiver a key that any webhook may sign with that has none of
// its own told to [Receiver.Know].
func (r *Receiver) KnowAny(key string) error {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, "whsec_"))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spare = append(r.spare, raw)
	return nil
}

// AcceptEither makes one right signature enough where the other is absent or cannot
// be checked. A wrong one is refused all the same.
func (r *Receiver) AcceptEither() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.either = true
}

// signed reports whether the signatures are enough to take the message.
func (r *Receiver) signed(m Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.either {
		return m.Smartcar && m.Standard
	}
	return m.SmartcarCheck != Wrong && m.StandardCheck != Wrong && (m.Smartcar || m.Standard)
}

// Rule sets how deliveries and challenges are answered; nil answers 200 at once.
func (r *Receiver) Rule(rule func(Message) Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rule = rule
}

// Clock sets the clock that the times of signatures are held against; it is time.Now
// until then.
func (r *Receiver) Clock(now func() time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

// Heard sets a function that is called with each message once it is answered.
func (r *Receiver) Heard(f func(Message)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = f
}

// Messages returns what arrived so far, in order.
func (r *Receiver) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.messages...)
}

// Accepted returns the webhook-ids of deliveries answered with 2xx, and how often
// each was.
func (r *Receiver) Accepted() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.accepted)
}

// Open returns how many requests are being answered now.
func (r *Receiver) Open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

type envelope struct {
	WebhookID string `json:"webhookId"`
	EventName string `json:"eventName"`
	Mode      string `json:"mode"`
	Payload   struct {
		Challenge string `json:"challenge"`
		EventID   string `json:"eventId"`
		VehicleID string `json:"vehicleId"`
		EventType string `json:"eventType"`
		Vehicles  []struct {
			VehicleID string `json:"vehicleId"`
			Data      []struct {
				Path string `json:"path"`
				Code int    `json:"code"`
				Body struct {
					IsPluggedIn *bool  `json:"isPluggedIn"`
					Type        string `json:"type"`
					Code        string `json:"code"`
				} `json:"body"`
			} `json:"data"`
		} `json:"vehicles"`
	} `json:"payload"`
}

// ServeHTTP takes one delivery or challenge.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		http.Error(w, "body cut short", http.StatusBadRequest)
		return
	}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	m := r.message(req, body, e)

	r.mu.Lock()
	r.open++
	rule := r.rule
	r.mu.Unlock()
	var a Answer
	if rule != nil {
		a = rule(m)
	}
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	switch {
	case a.Status >= 300:
	case m.OddChallenge():
		a.Status = http.StatusBadRequest
	case m.Event != "verify" && !r.signed(m):
		a.Status = http.StatusUnauthorized
	}
	if a.Delay > 0 {
		select {
		case <-time.After(a.Delay):
		case <-req.Context().Done():
		}
	}
	r.mu.Lock()
	r.open--
	if !a.Drop {
		m.Status = a.Status
	}
	r.messages = append(r.messages, m)
	if m.Event != "verify" && e.Mode != "test" && m.Status >= 200 && m.Status < 300 {
		r.accepted[m.ID]++
	}
	heard := r.heard
	r.mu.Unlock()
	if heard != nil {
		heard(m)
	}

	if a.Drop {
		drop(w)
		return
	}
	maps.Copy(w.Header(), a.Header)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	if a.Body != nil && m.Event != "verify" {
		_, _ = w.Write(a.Body)
		return
	}
	reply := map[string]string{}
	if m.Event == "verify" && a.Status < 300 {
		reply["challenge"] = hex.EncodeToString(digest([]byte(r.token), e.Payload.Challenge))
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func (r *Receiver) message(req *http.Request, body []byte, e envelope) Message {
	m := Message{ID: req.Header.Get("webhook-id"), Event: e.EventName, Webhook: e.WebhookID, At: time.Now(), Challenge: e.Payload.Challenge,
		Header: req.Header, Body: body,
		Vehicle: e.Payload.VehicleID, Happened: e.Payload.EventType, EventID: e.Payload.EventID}
	for _, v := range e.Payload.Vehicles {
		m.Vehicle = v.VehicleID
		for _, d := range v.Data {
			if d.Code != http.StatusOK {
				m.Errors = append(m.Errors, d.Path+" "+d.Body.Type+":"+d.Body.Code)
			}
			if d.Path != "/charge" {
				continue
			}
			switch {
			case d.Body.IsPluggedIn == nil:
				m.Plugged = strconv.Itoa(d.Code)
			case *d.Body.IsPluggedIn:
				m.Plugged = "plugged in"
			default:
				m.Plugged = "unplugged"
			}
		}
	}
	m.SmartcarCheck = r.smartcar(req, body)
	m.StandardCheck = r.standard(req, e.WebhookID, body)
	m.Smartcar, m.Standard = m.SmartcarCheck == Right, m.StandardCheck == Right
	return m
}

func (r *Receiver) smartcar(req *http.Request, body []byte) Check {
	got := req.Header.Get("SC-Signature")
	switch {
	case got == "":
		return Absent
	case hmac.Equal([]byte(hex.EncodeToString(digest([]byte(r.token), string(body)))), []byte(got)):
		return Right
	}
	return Wrong
}

// tolerance is how far a request's time may be from ours, as the standard has it.
const tolerance = 5 * time.Minute

func (r *Receiver) standard(req *http.Request, webhook string, body []byte) Check {
	signatures, stamp := req.Header.Get("webhook-signature"), req.Header.Get("webhook-timestamp")
	r.mu.Lock()
	now := r.now()
	keys := r.spare
	if own := r.keys[webhook]; own != nil {
		keys = [][]byte{own}
	}
	r.mu.Unlock()
	switch seconds, err := strconv.ParseInt(stamp, 10, 64); {
	case signatures == "":
		return Absent
	case len(keys) == 0:
		return Unchecked
	case err != nil || now.Sub(time.Unix(seconds, 0)).Abs() >= tolerance:
		return Wrong
	}
	for _, key := range keys {
		want := "v1," + base64.StdEncoding.EncodeToString(digest(key, req.Header.Get("webhook-id")+"."+stamp+"."+string(body)))
		for got := range strings.FieldsSeq(signatures) {
			if hmac.Equal([]byte(want), []byte(got)) {
				return Right
			}
		}
	}
	return Wrong
}

func digest(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

func drop(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = c.Write([]byte("HTTP/1.1 "))
	_ = c.Close()
}
