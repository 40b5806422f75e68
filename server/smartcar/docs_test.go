package smartcar_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"plugbeat/server/smartcar"
	"plugbeat/server/web"
)

var parameters = regexp.MustCompile(`\{[a-z]+\}`)

type recorded map[string]bool

func (r recorded) Handle(pattern string, _ http.Handler) {
	r[parameters.ReplaceAllString(pattern, "{}")] = true
}

// docs/api.md and the route table name the same routes. The page names those that only
// answer 501 in a row of the error table.
func TestDocsNameEveryRoute(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	served, told := recorded{}, recorded{}
	smartcar.New(smartcar.Options{Replies: &web.Replies{}}).Routes(served)
	delete(served, "/")
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:GET|POST|PATCH|DELETE) /v2.0/[^`?]*)").FindAllStringSubmatch(string(doc), -1) {
		told.Handle(m[1], nil)
	}
	for route := range told {
		if !served[route] {
			t.Errorf("docs/api.md tells of %s, which is not served", route)
		}
	}
	for route := range served {
		method, name, _ := strings.Cut(route, " /v2.0/vehicles/{}/")
		absent := method == "GET" && slices.Contains(smartcar.NotServed(), name) || method == "POST" && slices.Contains(smartcar.NotDone(), name)
		if !told[route] && !absent {
			t.Errorf("docs/api.md does not tell of %s", route)
		}
	}
}
