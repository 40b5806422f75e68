package admin_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"plugbeat/adminapi"
	"plugbeat/server/admin"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
)

type recorded map[string]bool

func (r recorded) Handle(pattern string, _ http.Handler) {
	r[parameters.ReplaceAllString(pattern, "{}")] = true
}

var parameters = regexp.MustCompile(`\{[a-z]+\}`)

// docs/api.md and the route table name the same routes.
func TestDocsNameEveryRoute(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	served := recorded{}
	told := recorded{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:GET|POST|PATCH|DELETE) /api/[^`?]*)").FindAllStringSubmatch(string(doc), -1) {
		told.Handle(m[1], nil)
	}
	for _, r := range admin.Table() {
		served.Handle(r.Pattern, nil)
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(r.Pattern) + "`.*").FindString(parametersAs(string(doc)))
		if row == "" {
			continue // told of below
		}
		for _, name := range r.Query {
			if !regexp.MustCompile("`" + name + "\\b").MatchString(row) {
				t.Errorf("docs/api.md does not tell of the query parameter %s of %s", name, r.Pattern)
			}
		}
		method, path, _ := strings.Cut(r.Pattern, " ")
		for _, name := range bodyFields(operationOf(servertest.MustDocument(t), method, path)) {
			if !regexp.MustCompile("[`\"]" + name + "[`\"]").MatchString(row) {
				t.Errorf("docs/api.md does not tell of the field %s of %s", name, r.Pattern)
			}
		}
		if strings.Contains(row, "Socket only") != (r.Need == web.BySocket) {
			t.Errorf("docs/api.md is wrong about what %s needs", r.Pattern)
		}
	}
	for route := range told {
		if !served[route] {
			t.Errorf("docs/api.md tells of %s, which is not served", route)
		}
	}
	for route := range served {
		if !told[route] {
			t.Errorf("docs/api.md does not tell of %s", route)
		}
	}
}

// bodyFields are the fields of the object that an operation takes.
func bodyFields(op *openapi3.Operation) []string {
	if op == nil || op.RequestBody == nil {
		return nil
	}
	fields := map[string]*openapi3.SchemaRef{}
	servertest.Flatten(op.RequestBody.Value.Content["application/json"].Schema.Value, fields, map[string]bool{})
	return slices.Sorted(maps.Keys(fields))
}

// parametersAs gives ids in the page's paths the names that they have in the routes.
func parametersAs(page string) string {
	return strings.NewReplacer("vehicles/{id}", "vehicles/{vehicle}", "deliveries/{id}", "deliveries/{delivery}").Replace(page)
}

// docs/api.md lists the codes of errors with their statuses.
func TestDocsListEveryCode(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range source().values["adminapi.Code"] {
		if row := fmt.Sprintf("| `%s` | %d | ", code, web.StatusOf(adminapi.Code(code))); !strings.Contains(string(doc), row) {
			t.Errorf("docs/api.md lacks the row %q", row)
		}
	}
}
