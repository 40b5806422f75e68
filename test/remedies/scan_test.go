package remedies

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// groups are the commands that have commands of their own; alone lists the others.
var (
	groups = []string{"webhook", "vehicle", "source", "delivery", "token", "alert", "config"}
	alone  = []string{"serve", "status", "doctor", "init", "check-config", "check", "backup", "restore", "compact", "subscribe", "unsubscribe",
		"listen", "bridge", "demo", "completion"}
)

// printed matches a command in a text, up to where prose goes on.
var (
	printed = regexp.MustCompile("plugbeat ([a-z][^;,:\n`()]*)")
	verb    = regexp.MustCompile(`%[a-z\[\]0-9]+`)
	bare    = regexp.MustCompile(`^[a-z-]+$`)
	flag    = regexp.MustCompile(`--[a-z-]+`)
)

// TestEveryCommandIsInTheList looks at every text of the program that names a command.
func TestEveryCommandIsInTheList(t *testing.T) {
	found := map[string]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (rel == "test" || rel == "tools" || rel == "cli/clitest" || strings.HasPrefix(d.Name(), ".") && rel != "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			if c, ok := n.(*ast.CallExpr); ok { // health's conditions: command("webhook", "verify", name)
				if f, ok := c.Fun.(*ast.Ident); ok && f.Name == "command" {
					words := []string{}
					for _, a := range c.Args {
						if w, ok := textOf(a); ok {
							words = append(words, w)
						}
					}
					found[keyOf(strings.Join(words, " "))] = rel + ":" + strconv.Itoa(set.Position(n.Pos()).Line)
					return false
				}
			}
			text, ok := textOf(e)
			if !ok {
				return true
			}
			for _, m := range printed.FindAllStringSubmatch(verb.ReplaceAllString(text, "X"), -1) {
				if key := keyOf(m[1]); key != "" && !strings.HasSuffix(key, " --help") {
					found[key] = rel + ":" + strconv.Itoa(set.Position(n.Pos()).Line)
				}
			}
			return false
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, at := range found {
		if _, ok := list[key]; !ok {
			t.Errorf("%s prints `plugbeat %s`, which is in no row of the list", at, key)
		}
	}
	for key := range list {
		if found[key] == "" {
			t.Errorf("the list has `plugbeat %s`, which nothing prints", key)
		}
	}
}

// textOf is a string of literals with X for what is joined to them.
func textOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		left, okL := textOf(e.X)
		right, okR := textOf(e.Y)
		if e.Op != token.ADD || !okL && !okR {
			return "", false
		}
		if !okL {
			left = "X"
		}
		if !okR {
			right = "X"
		}
		return left + right, true
	}
	return "", false
}

// keyOf is a command with its flags in order, empty where the text is prose.
func keyOf(text string) string {
	words := strings.Fields(text)
	key := words[0]
	switch {
	case slices.Contains(groups, key) && len(words) > 1 && bare.MatchString(words[1]):
		key += " " + words[1]
	case !slices.Contains(alone, key):
		return ""
	}
	flags := flag.FindAllString(text, -1)
	slices.Sort(flags)
	return strings.Join(append([]string{key}, slices.Compact(flags)...), " ")
}
