package smartcar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
)

// maxAnswer is the largest answer taken, in bytes. A batch of three is under 2 KB.
const maxAnswer = 1 << 20

// request is one request to the API, before it has its access token.
type request struct {
	client *http.Client
	method string
	path   string // below the API's origin and version, escaped
	body   []byte // nil for none
}

// answer is one response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	at     time.Time // when it had arrived, UTC
	id     string    // made here when the vendor gave none
}

// requestID returns the vendor's id of the request as a UUID, or one made here.
func (a *answer) requestID() string {
	if a.id == "" {
		a.id = a.header.Get("Sc-Request-Id")
		if _, err := uuid.Parse(a.id); err != nil {
			a.id = uuid.NewString()
		}
	}
	return a.id
}

// api makes the requests of vehicles and accounts.
type api struct {
	origin    string // with the version
	userAgent string
	accounts  *accounts
	log       zerolog.Logger
	keep      *http.Client // for requests that may use a connection again
	once      *http.Client // for single reads, which must not be sent twice
}

// call makes a request in the name of a connection. When the access token is
// refused it is renewed and the request made once more; a second refusal is
// returned as an answer. The error is a [*vehicle.Fault] or wraps the context's.
func (a *api) call(ctx context.Context, connection string, r request) (*answer, error) {
	token, err := a.accounts.token(ctx, connection, "")
	if err != nil {
		return nil, err
	}
	ans, err := a.send(ctx, r, token)
	if err != nil || ans.status != http.StatusUnauthorized {
		return ans, err
	}
	if token, err = a.accounts.token(ctx, connection, token); err != nil {
		return nil, err
	}
	return a.send(ctx, r, token)
}

// send makes one HTTP exchange.
func (a *api) send(ctx context.Context, r request, token string) (*answer, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, a.origin+r.path, body)
	if err != nil {
		return nil, vehicle.InvalidData("the request cannot be made: " + err.Error())
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", a.userAgent)
	req.Header.Set("SC-Unit-System", "metric")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
		// The key with no value is not sent. It tells net/http that the request, which
		// only reads, may be repeated where a kept connection drops it.
		req.Header["Idempotency-Key"] = nil
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	ans := &answer{status: res.StatusCode, header: res.Header, body: b, at: time.Now().UTC()}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, unanswered(ctx, err)
	case err != nil:
		f := vehicle.Garbled(fmt.Sprintf("the answer was cut off after %d bytes", len(b)))
		f.RequestID = ans.requestID()
		return nil, f
	case len(b) > maxAnswer:
		f := vehicle.Garbled(fmt.Sprintf("the answer is larger than %d bytes", maxAnswer))
		f.RequestID = ans.requestID()
		return nil, f
	}
	return ans, nil
}

// unanswered is the error of a request to which no answer came. Its text names
// no URL: it goes into payloads.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("read smartcar: %w", ctx.Err())
	}
	f := vehicle.NoResponse("Smartcar did not answer: " + cause(err))
	f.Network = true
	return f
}

// cause is the text of a failed exchange without its URL.
func cause(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return "timed out"
		}
		err = u.Err
	}
	return clean(err.Error())
}

// clean makes a text fit for a fault: valid UTF-8, one line, of bounded length, nothing that
// a terminal obeys or that writes backwards.
func clean(s string) string {
	const most = 1000
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
