package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// loadOpenAPI loads the document as it is served.
var loadOpenAPI = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(openapi3.NewLoader().Context)
})

func openAPI(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := loadOpenAPI()
	if err != nil {
		t.Fatalf("server/openapi.yaml is not a valid OpenAPI document: %v", err)
	}
	return doc
}

// closedOpenAPI is the document with every schema closed: what it does not name is
// refused. To clients it is open, because answers may gain fields.
var closedOpenAPI = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := loadOpenAPI()
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
		flatten(ref.Value, properties, required)
		if !ref.Value.Type.Is("object") || len(properties) == 0 && name != "Nothing" {
			continue
		}
		schemas[name] = map[string]any{"type": "object", "properties": properties, "required": slices.Sorted(maps.Keys(required)), "additionalProperties": false}
	}
	if text, err = json.Marshal(tree); err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(text)
})

// The table of routes and the document name the same operations, with the same
// needs and the same query parameters.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	doc := openAPI(t)
	served := map[string]bool{}
	for _, r := range newServer(t, newWorld()).adminRoutes() {
		served[r.pattern] = true
		method, path, _ := strings.Cut(r.pattern, " ")
		op := operationOf(doc, method, path)
		if op == nil {
			t.Errorf("server/openapi.yaml lacks %s; add under paths:\n\n%s", r.pattern, operationStub(r))
			continue
		}
		if got := rolesOf(op); got != string(r.need) {
			t.Errorf("%s needs %q in the route table and %q in server/openapi.yaml, which should say: security: [{token: [%s]}]", r.pattern, r.need, got, r.need)
		}
		var query []string
		for _, p := range parametersOf(doc.Paths.Value(path), op) {
			if p.In == "query" {
				query = append(query, p.Name)
			}
		}
		for _, name := range r.query {
			if !slices.Contains(query, name) {
				t.Errorf("%s takes the query parameter %s; server/openapi.yaml should have it in parameters of this operation:\n\n        - {name: %s, in: query, schema: {type: string}}", r.pattern, name, name)
			}
		}
		for _, name := range query {
			if !slices.Contains(r.query, name) {
				t.Errorf("server/openapi.yaml has the query parameter %s of %s: add it to the route's line in adminRoutes, or remove it", name, r.pattern)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !served[method+" "+path] {
				t.Errorf("server/openapi.yaml has %s %s, which is not in adminRoutes: remove it, or add the route", method, path)
			}
		}
	}
}

func operationOf(doc *openapi3.T, method, path string) *openapi3.Operation {
	if item := doc.Paths.Value(path); item != nil {
		return item.GetOperation(method)
	}
	return nil
}

func parametersOf(item *openapi3.PathItem, op *openapi3.Operation) (ps []*openapi3.Parameter) {
	for _, ref := range slices.Concat(item.Parameters, op.Parameters) {
		ps = append(ps, ref.Value)
	}
	return ps
}

// rolesOf is what the one security requirement of an operation asks for.
func rolesOf(op *openapi3.Operation) string {
	switch {
	case op.Security == nil:
		return "nothing said"
	case len(*op.Security) == 0:
		return string(byAnyone)
	}
	return strings.Join((*op.Security)[0]["token"], ",")
}

// operationStub is an operation as the document could have it.
func operationStub(r adminRoute) string {
	method, path, _ := strings.Cut(r.pattern, " ")
	text := fmt.Sprintf("  %s:\n    %s:\n      operationId: CHOOSE\n      summary: SAY IT\n      security: [{token: [%s]}]\n", path, strings.ToLower(method), r.need)
	list := ""
	for _, m := range parameters.FindAllString(path, -1) {
		list += fmt.Sprintf("        - {name: %s, in: path, required: true, schema: {type: string}}\n", strings.Trim(m, "{}"))
	}
	for _, q := range r.query {
		list += fmt.Sprintf("        - {name: %s, in: query, schema: {type: string}}\n", q)
	}
	if list != "" {
		text += "      parameters:\n" + list
	}
	if method == http.MethodPost || method == http.MethodPatch {
		text += "      requestBody: # where it takes one\n        required: true\n        content: {application/json: {schema: {$ref: \"#/components/schemas/TYPE\"}}}\n"
	}
	text += "      responses:\n        \"200\":\n          description: SAY IT\n          content: {application/json: {schema: {$ref: \"#/components/schemas/TYPE\"}}}\n"
	for status, name := range map[string]string{"500": "Internal", "503": "Unavailable"} {
		text += fmt.Sprintf("        %q: {$ref: \"#/components/responses/%s\"}\n", status, name)
	}
	return text
}

func TestOpenAPIIsServed(t *testing.T) {
	s := newServer(t, newWorld())
	for target, kind := range map[string]string{"/api/v1/openapi.yaml": "application/yaml", "/api/v1/openapi.json": "application/json"} {
		rec := httptest.NewRecorder()
		described(t, s.Admin()).ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		if rec.Code != 200 || rec.Header()["content-type"][0] != kind { //nolint:staticcheck // not canonical, on purpose
			t.Fatalf("%d %v", rec.Code, rec.Header())
		}
		doc, err := openapi3.NewLoader().LoadFromData(rec.Body.Bytes())
		if err != nil || doc.Info.Title == "" {
			t.Errorf("what is served is not the document: %v", err)
		}
	}
}
