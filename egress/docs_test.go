package egress

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// docs/security.md lists every class and every range that is refused, and what a
// refusal says.
func TestSecurityPage(t *testing.T) {
	b, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, c := range []class{classPrivate, classNear, classLoopback, classOwn, classReserved} {
		if !strings.Contains(page, string(c)) {
			t.Errorf("it does not name the class %q", c)
		}
	}
	for _, c := range classes {
		if !strings.Contains(page, string(c.class)) {
			t.Errorf("it does not name the class %q", c.class)
		}
		for _, p := range c.in {
			if text := strings.TrimSuffix(strings.TrimSuffix(p.String(), "/32"), "/128"); !strings.Contains(page, text) {
				t.Errorf("it does not list %s, which is %s", text, c.class)
			}
		}
	}
	for _, f := range forms {
		if !strings.Contains(page, f.name) || !strings.Contains(page, f.prefix.String()) {
			t.Errorf("it does not name %s, %s", f.name, f.prefix)
		}
	}
	denied, ok := errors.AsType[*DeniedError](guardOf(t, Options{}).Check("192.168.1.7:8123", "192.168.1.7:8123", false))
	if text := denied.Error() + ": " + denied.Advice(); !ok || !strings.Contains(page, text) {
		t.Errorf("it does not show %q", text)
	}
}
