package simulator

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Transport returns a round tripper that calls h in this process, without a
// socket. A handler that aborts ([http.ErrAbortHandler]) breaks the connection:
// before its first byte the round trip fails, after it the body ends early.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ h http.Handler }

// errReset is the error of a broken connection.
var errReset = errors.New("connection reset by peer")

// RoundTrip implements [http.RoundTripper]. It returns as soon as the request's
// context ends; the handler sees the same context end.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	in.Body = http.NoBody
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		in.Body = io.NopCloser(bytes.NewReader(b))
	}
	rec := &recorder{header: http.Header{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			switch v := recover(); v {
			case nil:
			case any(http.ErrAbortHandler):
				rec.broken = true
			default:
				panic(v)
			}
		}()
		t.h.ServeHTTP(rec, in)
	}()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-done:
	}
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	if rec.broken && rec.status == 0 {
		return nil, errReset
	}
	var body io.Reader = &rec.body
	if rec.broken {
		body = io.MultiReader(body, cutOff{})
	}
	rec.WriteHeader(http.StatusOK)
	res := &http.Response{
		StatusCode: rec.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1, Request: r,
	}
	for name, values := range rec.header { // as a client reads them from the wire
		for _, v := range values {
			res.Header.Add(name, v)
		}
	}
	return res, nil
}

// recorder is the response as the handler writes it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	broken bool
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// cutOff is the end of a body that was cut off.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
