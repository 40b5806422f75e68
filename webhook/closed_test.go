package webhook

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// constants returns the values of the constants of a type in this package.
func constants(t *testing.T, of string) (values []string) {
	t.Helper()
	for _, name := range []string{"webhook.go", "delivery.go", "disk.go", "event.go", "kind.go", "transition.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && v.Type != nil && len(v.Values) == 1 {
				if id, ok := v.Type.(*ast.Ident); ok && id.Name == of {
					values = append(values, strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
				}
			}
			return true
		})
	}
	return values
}

// The lists of the closed sets are whole.
func TestClosedSets(t *testing.T) {
	for of, list := range map[string][]string{
		"State": texts(States[:]), "Status": texts(Statuses[:]), "Reason": texts(Reasons[:]), "Outcome": texts(Outcomes[:]),
		"Type": texts(Types[:]), "EventType": texts(EventTypes[:]), "DiskState": texts(DiskStates[:]), "Transition": texts(Transitions[:]),
	} {
		if all := constants(t, of); len(all) == 0 || !slices.Equal(all, list) {
			t.Errorf("the constants of %s are %q, its list %q", of, all, list)
		}
	}
}

func texts[T ~string](list []T) (out []string) {
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}
