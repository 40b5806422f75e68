package servertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"plugbeat/adminapi"
	"plugbeat/server"
)

// Document loads openapi.yaml as it is served.
var Document = sync.OnceValues(func() (*openapi3.T, error) {
	rec := httptest.NewRecorder()
	w := &World{}
	s, err := server.New(server.Options{Store: &Records{}, Scheduler: schedulerOf{w}, Deliveries: deliveriesOf{}, Fleet: fleetOf{w}, Upkeep: w,
		Sources: sourcesOf{w}, Health: w})
	if err != nil {
		return nil, err
	}
	s.Admin().ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/openapi.yaml", nil))
	doc, err := openapi3.NewLoader().LoadFromData(rec.Body.Bytes())
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(openapi3.NewLoader().Context)
})

// closedDocument is the document with every schema closed: what it does not name is
// refused. To clients it is open, because answers may gain fields.
var closedDocument = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	schemas := tree["components"].(map[string]any)["schemas"].(map[string]any)
	for name, ref := range doc.Components.Schemas {
		properties, required := map[string]*openapi3.SchemaRef{}, map[string]bool{}
		Flatten(ref.Value, properties, required)
		if !ref.Value.Type.Is("object") || len(properties) == 0 && name != "Nothing" {
			continue
		}
		schemas[name] = map[string]any{"type": "object", "properties": properties, "required": slices.Sorted(maps.Keys(required)),
			"additionalProperties": false}
	}
	if text, err = json.Marshal(tree); err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(text)
})

// ParametersOf are the parameters of an operation, its path's among them.
func ParametersOf(item *openapi3.PathItem, op *openapi3.Operation) (ps []*openapi3.Parameter) {
	for _, ref := range slices.Concat(item.Parameters, op.Parameters) {
		ps = append(ps, ref.Value)
	}
	return ps
}

// Described wraps the admin API's handler for a test: every answer must be one that
// openapi.yaml describes, and every request that was taken must be one as well.
func Described(t *testing.T, h http.Handler) http.Handler {
	t.Helper()
	doc, err := closedDocument()
	if err != nil {
		t.Fatalf("server/admin/openapi.yaml: %v", err)
	}
	told := map[string]bool{}
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent []byte
		if r.Body != nil {
			sent, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(sent))
		}
		copied := &copying{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(copied, r)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
		problem := compare(doc, r, copied)
		mu.Lock()
		defer mu.Unlock()
		if problem != nil && !told[problem.Error()] {
			told[problem.Error()] = true
			t.Errorf("%s %s, answered %d, is not as server/admin/openapi.yaml says: %v\n%.200s", r.Method, r.URL, copied.status, problem,
				copied.body.String())
		}
	})
}

// copying keeps what passes through.
type copying struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (c *copying) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *copying) Write(b []byte) (int, error) {
	c.body.Write(b)
	return c.ResponseWriter.Write(b)
}

func (c *copying) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func compare(doc *openapi3.T, r *http.Request, got *copying) error {
	route, values := routeOf(doc, r)
	if route == nil {
		if got.status < 400 {
			return errors.New("it has no such path")
		}
		return nil
	}
	name := route.Method + " " + route.Path
	request := &openapi3filter.RequestValidationInput{Request: r, PathParams: values, Route: route, Options: &openapi3filter.Options{
		MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
	}}
	header := http.Header{}
	for k, v := range got.Header() {
		header[http.CanonicalHeaderKey(k)] = append(header[http.CanonicalHeaderKey(k)], v...)
	}
	if route.Operation.Responses.Status(got.status) == nil {
		return fmt.Errorf("it does not have this status; add to responses of %s: \"%d\": {$ref: \"#/components/responses/%s\"}", name,
			got.status, responseNames[got.status])
	}
	err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: got.status, Header: header, Body: io.NopCloser(bytes.NewReader(got.body.Bytes())),
		Options: request.Options,
	})
	if err != nil {
		return fmt.Errorf("the answer: %s", reasons(err))
	}
	seen.add(fmt.Sprintf("%s answers %d", name, got.status))
	if got.status >= 400 {
		return nil
	}
	for _, p := range ParametersOf(route.PathItem, route.Operation) {
		if p.In == "query" && r.URL.Query().Has(p.Name) || p.In == "header" && r.Header.Get(p.Name) != "" {
			seen.add(name + " takes " + p.Name)
		}
	}
	if kind := r.Header.Get("Content-Type"); kind == "" && r.ContentLength != 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
		return fmt.Errorf("the request, which was taken: %s", reasons(err))
	}
	return nil
}

// reasons says where a body is not as the schema says, without the schema.
func reasons(err error) string {
	if many, ok := errors.AsType[openapi3.MultiError](err); ok {
		var list []string
		for _, e := range many {
			list = append(list, reasons(e))
		}
		return strings.Join(list, "; ")
	}
	if e, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		return "at /" + strings.Join(e.JSONPointer(), "/") + ": " + e.Reason
	}
	return err.Error()
}

// responseNames are the shared answers that a status stands for.
var responseNames = map[int]string{
	400: "Invalid", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 412: "Changed", 424: "ChallengeFailed",
	500: "Internal", 502: "Source", 503: "Unavailable", 507: "NoSpace",
}

// routeOf finds the operation of a request as the server's mux would.
func routeOf(doc *openapi3.T, r *http.Request) (*routers.Route, map[string]string) {
	actual := strings.TrimSuffix(r.URL.Path, "/")
	if path.Clean(actual) != actual {
		return nil, nil
	}
	mux := http.NewServeMux()
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			mux.Handle(method+" "+path, http.NotFoundHandler())
		}
	}
	_, pattern := mux.Handler(&http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Path: actual}})
	method, template, ok := strings.Cut(pattern, " ")
	if !ok {
		return nil, nil
	}
	item, values := doc.Paths.Value(template), map[string]string{}
	for i, segment := range strings.Split(template, "/") {
		if strings.HasPrefix(segment, "{") {
			values[strings.Trim(segment, "{}")] = strings.Split(actual, "/")[i]
		}
	}
	return &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: item.GetOperation(method)}, values
}

// seen is what the tests of the package have met of what the document says.
var seen = &facts{met: map[string]bool{}}

type facts struct {
	mu  sync.Mutex
	met map[string]bool
}

func (f *facts) add(fact string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.met[fact] = true
}

// missing lists what the document says and no test met. Answers that come from the
// error table alone, whatever the route, are left to its own test.
func (f *facts) missing(doc *openapi3.T) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + path
			for status := range op.Responses.Map() {
				if fact := name + " answers " + status; !f.met[fact] && status != "500" && status != "503" && status != "507" {
					left[fact] = true
				}
			}
			for _, p := range ParametersOf(item, op) {
				if fact := name + " takes " + p.Name; p.In != "path" && !f.met[fact] {
					left[fact] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(left))
}

// RunDescribed runs the tests of a package, and fails when all ran and one of the
// document's answers or parameters was met by none: nothing shows that it exists.
func RunDescribed(m *testing.M) (code int) {
	openapi3filter.RegisterBodyDecoder(adminapi.EventStreamType, openapi3filter.PlainBodyDecoder)
	code = m.Run()
	whole := true
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		whole = whole && flag.Lookup(name).Value.String() == ""
	}
	if doc, err := Document(); code == 0 && whole && err == nil {
		for _, fact := range seen.missing(doc) {
			fmt.Printf("server/admin/openapi.yaml says: %s; no test shows it. Add a test whose handler is wrapped in Described, or remove it.\n",
				fact)
			code = 1
		}
	}
	return code
}

// Flatten collects the properties of a schema and of what it is made of.
func Flatten(s *openapi3.Schema, properties map[string]*openapi3.SchemaRef, required map[string]bool) {
	for _, part := range s.AllOf {
		Flatten(part.Value, properties, required)
	}
	maps.Copy(properties, s.Properties)
	for _, name := range s.Required {
		required[name] = true
	}
}

// MustDocument is [Document] for a test.
func MustDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := Document()
	if err != nil {
		t.Fatalf("server/admin/openapi.yaml is not a valid OpenAPI document: %v", err)
	}
	return doc
}
