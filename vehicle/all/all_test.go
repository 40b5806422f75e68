package all

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestKinds holds what the config and its reference make of a kind.
func TestKinds(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9-]{1,16}$`)
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if !name.MatchString(k.Name) || !name.MatchString(k.Example) || seen[k.Name] || seen["example "+k.Example] {
			t.Errorf("kind %q, with the example %q: want names of 1 to 16 characters of a-z, 0-9 and '-' that no other has", k.Name, k.Example)
		}
		seen[k.Name], seen["example "+k.Example] = true, true
		if !strings.HasPrefix(k.Doc, k.Name+" ") || strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: doc %q, want a sentence that begins with the name and has no full stop", k.Name, k.Doc)
		}
		s := k.Settings()
		if v := reflect.ValueOf(s); v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct || s == k.Settings() {
			t.Errorf("%s: settings %T, want a new pointer to a struct each time", k.Name, s)
		}
		if again, ok := Kind(k.Name); !ok || again.Example != k.Example {
			t.Errorf("%s is not found by its name", k.Name)
		}
	}
	if _, ok := Kind("nonsense"); ok || len(seen) == 0 {
		t.Error("a kind that is none")
	}
}
