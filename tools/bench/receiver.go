package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// token is the application's management token in every run.
var token = webhook.Secret("the-management-token-of-the-benchmark")

// arrival is a request that had arrived whole and was signed rightly.
type arrival struct {
	ID   uuid.UUID // webhook-id
	Hook int32     // the number in its path
	At   int64     // Unix nanoseconds
}

// sink is the receiver's side: what arrives at /HOOK is answered at once with 200,
// at /HOOK/10s after that time. A challenge is answered rightly, and not counted.
type sink struct {
	mu       sync.Mutex
	arrivals []arrival
	refused  int
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the sender has gone
	}
	hook, wait, _ := strings.Cut(r.URL.Path[1:], "/")
	n, _ := strconv.Atoi(hook)
	id, err := uuid.Parse(r.Header.Get(signing.HeaderID))
	good := err == nil && hmac.Equal([]byte(r.Header.Get(signing.HeaderSmartcar)), []byte(signing.Smartcar(token, body)))
	at := time.Now().UnixNano()
	if text := challengeIn(body); good && text != "" {
		_ = json.NewEncoder(w).Encode(map[string]string{"challenge": signing.Smartcar(token, []byte(text))})
		return
	}
	s.mu.Lock()
	if good {
		s.arrivals = append(s.arrivals, arrival{id, int32(n), at}) //nolint:gosec // a small number
	} else {
		s.refused++
	}
	s.mu.Unlock()
	if !good {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if d, err := time.ParseDuration(wait); err == nil {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

// challengeIn returns the challenge that the body asks to sign; empty of a delivery,
// which is not decoded for that.
func challengeIn(body []byte) string {
	var x struct {
		Payload struct {
			Challenge string `json:"challenge"`
		} `json:"payload"`
	}
	if len(body) > 512 || json.Unmarshal(body, &x) != nil {
		return ""
	}
	return x.Payload.Challenge
}

// receive is the receiver's process: it prints the addresses of the sink and of its
// control, and ends with its standard input.
func receive(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	s := &sink{}
	g := &gate{handler: s}
	if err := g.open(ctx); err != nil {
		return err
	}
	mux := http.NewServeMux()
	answer := func(path string, f func(w io.Writer) error) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if err := f(w); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	answer("/count", func(w io.Writer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, err := fmt.Fprint(w, len(s.arrivals), " ", s.refused)
		return err
	})
	answer("/arrivals", func(w io.Writer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return binary.Write(w, binary.BigEndian, s.arrivals)
	})
	answer("/forget", func(io.Writer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.arrivals, s.refused = nil, 0
		return nil
	})
	answer("/close", func(io.Writer) error { return g.close() })
	answer("/open", func(io.Writer) error { return g.open(ctx) })
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, g.address, ln.Addr())
	control := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = control.Close() })
	if err := control.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// gate is a listener that can go away and come back at its address.
type gate struct {
	handler http.Handler
	address string
	server  *http.Server
	ended   chan struct{}
}

func (g *gate) open(ctx context.Context) error {
	address := g.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	g.address = ln.Addr().String()
	g.server, g.ended = &http.Server{Handler: g.handler, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	go func(s *http.Server, ended chan struct{}) {
		defer close(ended)
		_ = s.Serve(ln)
	}(g.server, g.ended)
	return nil
}

func (g *gate) close() error {
	err := g.server.Close()
	<-g.ended
	return err
}

// receiver is the receiver's process as the run sees it.
type receiver struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	url     string // of the sink
	control string
}

func startReceiver(ctx context.Context, self string) (*receiver, error) {
	cmd := exec.CommandContext(ctx, self, partReceiver)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &receiver{cmd: cmd, stdin: stdin}
	var sink, control string
	if _, err := fmt.Fscanln(bufio.NewReader(stdout), &sink, &control); err != nil {
		r.close()
		return nil, fmt.Errorf("the receiver did not start: %w", err)
	}
	r.url, r.control = "http://"+sink, "http://"+control
	return r, nil
}

func (r *receiver) close() {
	_ = r.stdin.Close()
	_ = r.cmd.Wait()
}

// hook is the callback of webhook number n, which is answered after wait.
func (r *receiver) hook(n int, wait time.Duration) string {
	uri := r.url + "/" + strconv.Itoa(n)
	if wait > 0 {
		uri += "/" + wait.String()
	}
	return uri
}

// tell gives the receiver an order and returns what it answered.
func (r *receiver) tell(ctx context.Context, order string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.control+"/"+order, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("receiver: %s: %s", order, b)
	}
	return b, err
}

// arrivals returns what arrived since the last forget, in order.
func (r *receiver) arrivals(ctx context.Context) ([]arrival, error) {
	b, err := r.tell(ctx, "arrivals")
	if err != nil {
		return nil, err
	}
	as := make([]arrival, len(b)/binary.Size(arrival{}))
	_, err = binary.Decode(b, binary.BigEndian, as)
	return as, err
}

// await returns once n requests have arrived.
func (r *receiver) await(ctx context.Context, n int, most time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("only some of %d requests arrived within %v", n, most))
	defer cancel()
	for {
		b, err := r.tell(ctx, "count")
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		var came, refused int
		if _, err := fmt.Sscan(string(b), &came, &refused); err != nil {
			return err
		}
		if refused > 0 {
			return fmt.Errorf("%d requests arrived with a wrong signature", refused)
		}
		if came >= n {
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%w (%d)", err, came)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
