package importrules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"plugbeat/vehicle/all"
)

// namesAKind are the files outside vehicle/ whose comparison with a kind's name is about
// something else.
var namesAKind = []string{
	"config/values.go", // a retry schedule has that name
}

// TestSourcesAreBehindTheSeam holds that only the registry knows the kinds of sources:
// outside vehicle/, the demo and tests no file imports one or compares with its name.
func TestSourcesAreBehindTheSeam(t *testing.T) {
	var names []string
	for _, k := range all.Kinds() {
		if k.Name != "http" { // a scheme has that name
			names = append(names, k.Name)
		}
	}
	root, looked := "../..", 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		name = filepath.ToSlash(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "vehicle" || name == "demo" || name == "test" || name == "tools" || strings.HasPrefix(d.Name(), ".") && name != "."):
			return filepath.SkipDir
		case d.IsDir(), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		looked++
		for _, bad := range knows(t, path, names, slices.Contains(namesAKind, name)) {
			t.Errorf("%s %s: the registry vehicle/all and the optional interfaces of package vehicle are there for that", name, bad)
		}
		return nil
	})
	if err != nil || looked < 100 {
		t.Errorf("%d files looked at, %v", looked, err)
	}
}

// knows returns what a file says of kinds of sources.
func knows(t *testing.T, path string, names []string, mayCompare bool) (bad []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		if name, ok := strings.CutPrefix(i.Path.Value, `"plugbeat/vehicle/`); ok && name != `all"` {
			bad = append(bad, "imports "+i.Path.Value)
		}
	}
	if mayCompare {
		return bad
	}
	compared := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(names, text) {
				bad = append(bad, "compares with "+lit.Value+" on line "+strconv.Itoa(set.Position(lit.Pos()).Line))
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				compared(n.X)
				compared(n.Y)
			}
		case *ast.CaseClause:
			for _, e := range n.List {
				compared(e)
			}
		case *ast.KeyValueExpr: // of a map
			compared(n.Key)
		}
		return true
	})
	return bad
}
