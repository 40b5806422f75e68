package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// Injection makes the server answer reads of a vehicle with something else than the vehicle's
// condition. Delay combines with any other field. Of Cut, Body, HTML and Fault the first that is
// set counts.
type Injection struct {
	// Delay holds the answer back.
	Delay time.Duration
	// Body is the body of the answer, with status 200 and the content type of JSON.
	Body []byte
	// HTML is the status of an HTML page, as a proxy in front of the vendor answers.
	HTML int
	// Cut ends the connection in the middle of the answer.
	Cut bool
	// Fault is any fault; [Row] has those of the error table. Set RetryAfter for
	// the header retry-after.
	Fault *vehicle.Fault
	// Whole answers the whole request with Fault instead of its entries.
	Whole bool
	// Paths are the paths concerned; zero means all. A batch is concerned when it asks for
	// one of them.
	Paths vehicle.Paths
	// Times is how many requests the injection is for; zero means until it is removed.
	Times int
}

// injection is an Injection in force for one vehicle, or for all when vehicle is -1.
type injection struct {
	Injection
	vehicle int
	left    int
}

// Inject puts an injection in force for the vehicle with this id, [uuid.Nil] for all vehicles,
// and returns a function that removes it. Of several injections the latest counts. With an
// unknown id Inject does nothing.
func (s *Server) Inject(id uuid.UUID, in Injection) (remove func()) {
	e := &injection{Injection: in, vehicle: -1, left: in.Times}
	if id != uuid.Nil {
		i, ok := s.fleet.Find(id)
		if !ok {
			return func() {}
		}
		e.vehicle = i
	}
	return s.injected.add(e)
}

// injections are those in force, the latest last.
type injections struct {
	mu  sync.Mutex
	all []*injection
}

// add puts an injection in force and returns what removes it.
func (in *injections) add(e *injection) (remove func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.all = append(in.all, e)
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.all = slices.DeleteFunc(in.all, func(x *injection) bool { return x == e })
	}
}

// of returns the injection for a request for these paths of vehicle i, nil for none, and counts
// the request.
func (in *injections) of(i int, paths []vehicle.Path) *Injection {
	in.mu.Lock()
	defer in.mu.Unlock()
	for n, e := range slices.Backward(in.all) {
		if e.vehicle >= 0 && e.vehicle != i {
			continue
		}
		if e.Paths != 0 && !slices.ContainsFunc(paths, e.Paths.Has) {
			continue
		}
		if e.Times > 0 {
			if e.left--; e.left == 0 {
				in.all = slices.Delete(in.all, n, n+1)
			}
		}
		return &e.Injection
	}
	return nil
}

// entryFault returns the fault that the injection has for a path, nil for none.
func (in *Injection) entryFault(p vehicle.Path) *vehicle.Fault {
	if in == nil || in.Fault == nil || in.Whole || in.Paths != 0 && !in.Paths.Has(p) {
		return nil
	}
	return in.Fault
}

// answer answers the whole request. It returns false when the injection is for single paths.
func (in *Injection) answer(a *answer) bool {
	switch {
	case in == nil:
		return false
	case in.Cut:
		a.w.Header()["Content-Length"] = []string{"4096"}
		a.w.WriteHeader(http.StatusOK)
		_, _ = a.w.Write([]byte(`{"responses":[{"path":"/char`))
		panic(http.ErrAbortHandler)
	case in.Body != nil:
		a.w.WriteHeader(http.StatusOK)
		_, _ = a.w.Write(in.Body)
	case in.HTML != 0:
		a.w.Header()["content-type"] = []string{"text/html"}
		a.w.WriteHeader(in.HTML)
		_, _ = a.w.Write([]byte("<!doctype html><title>" + strconv.Itoa(in.HTML) + "</title><p>The proxy could not reach the server.</p>\n"))
	case in.Fault != nil && in.Whole:
		a.fault(in.Fault)
	default:
		return false
	}
	return true
}
