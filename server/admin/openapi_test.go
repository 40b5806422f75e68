package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"plugbeat/server/admin"
	"plugbeat/server/servertest"
	"plugbeat/server/web"

	"github.com/getkin/kin-openapi/openapi3"
)

// The table of routes and the document name the same operations, with the same
// needs and the same query parameters.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	doc := servertest.MustDocument(t)
	served := map[string]bool{}
	for _, r := range admin.Table() {
		served[r.Pattern] = true
		method, path, _ := strings.Cut(r.Pattern, " ")
		op := operationOf(doc, method, path)
		if op == nil {
			t.Errorf("server/admin/openapi.yaml lacks %s; add under paths:\n\n%s", r.Pattern, operationStub(r))
			continue
		}
		if got := rolesOf(op); got != string(r.Need) {
			t.Errorf("%s needs %q in the route table and %q in server/admin/openapi.yaml, which should say: security: [{token: [%s]}]", r.Pattern, r.Need, got, r.Need)
		}
		var query []string
		for _, p := range servertest.ParametersOf(doc.Paths.Value(path), op) {
			if p.In == "query" {
				query = append(query, p.Name)
			}
		}
		for _, name := range r.Query {
			if !slices.Contains(query, name) {
				t.Errorf("%s takes the query parameter %s; server/admin/openapi.yaml should have it in parameters of this operation:\n\n        - {name: %s, in: query, schema: {type: string}}", r.Pattern, name, name)
			}
		}
		for _, name := range query {
			if !slices.Contains(r.Query, name) {
				t.Errorf("server/admin/openapi.yaml has the query parameter %s of %s: add it to the route's line in routes, or remove it", name, r.Pattern)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			if !served[method+" "+path] {
				t.Errorf("server/admin/openapi.yaml has %s %s, which is not in routes: remove it, or add the route", method, path)
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

// rolesOf is what the one security requirement of an operation asks for.
func rolesOf(op *openapi3.Operation) string {
	switch {
	case op.Security == nil:
		return "nothing said"
	case len(*op.Security) == 0:
		return string(web.ByAnyone)
	}
	return strings.Join((*op.Security)[0]["token"], ",")
}

// operationStub is an operation as the document could have it.
func operationStub(r admin.Line) string {
	method, path, _ := strings.Cut(r.Pattern, " ")
	text := fmt.Sprintf("  %s:\n    %s:\n      operationId: CHOOSE\n      summary: SAY IT\n      security: [{token: [%s]}]\n", path, strings.ToLower(method), r.Need)
	list := ""
	for _, m := range parameters.FindAllString(path, -1) {
		list += fmt.Sprintf("        - {name: %s, in: path, required: true, schema: {type: string}}\n", strings.Trim(m, "{}"))
	}
	for _, q := range r.Query {
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
	s := servertest.NewServer(t, servertest.NewWorld(t))
	rec := httptest.NewRecorder()
	servertest.Described(t, s.Admin()).ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/openapi.yaml", nil))
	if rec.Code != 200 || rec.Header()["content-type"][0] != "application/yaml" { //nolint:staticcheck // not canonical, on purpose
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	doc, err := openapi3.NewLoader().LoadFromData(rec.Body.Bytes())
	if err != nil || doc.Info.Title == "" {
		t.Errorf("what is served is not the document: %v", err)
	}
}
