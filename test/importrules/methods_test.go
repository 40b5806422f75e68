package importrules

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxMethods is how many methods a type may have. A type with more is about two things.
const maxMethods = 30

// TestNoTypeHasTooManyMethods counts the methods that are declared outside of tests. With -v
// it prints the ten types that have most.
func TestNoTypeHasTooManyMethods(t *testing.T) {
	type count struct {
		name string
		n    int
	}
	var counts []count
	for name, n := range countMethods(t, "../..") {
		counts = append(counts, count{name, n})
	}
	slices.SortFunc(counts, func(a, b count) int { return cmp.Or(b.n-a.n, cmp.Compare(a.name, b.name)) })
	for i, c := range counts {
		if i < 10 {
			t.Logf("%4d  %s", c.n, c.name)
		}
		if c.n > maxMethods {
			t.Errorf("%s has %d methods, at most %d are allowed: split it by what it is about", c.name, c.n, maxMethods)
		}
	}
	if len(counts) < 100 {
		t.Errorf("%d types with methods were found", len(counts))
	}
}

// countMethods returns the number of methods by type, named by its folder.
func countMethods(t *testing.T, root string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && file != root, d.Name() == "node_modules":
			return filepath.SkipDir
		case d.IsDir(), !strings.HasSuffix(file, ".go"), strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(file))
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil {
				counts[path.Clean(filepath.ToSlash(folder))+"."+receiverOf(f.Recv.List[0].Type)]++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// receiverOf returns the name of a receiver's type, without its star and type parameters.
func receiverOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiverOf(e.X)
	case *ast.IndexExpr:
		return receiverOf(e.X)
	case *ast.IndexListExpr:
		return receiverOf(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
