package webhook

import "testing"

func TestCursor(t *testing.T) {
	for _, n := range []Cursor{0, 1, 1772366400000 << 16, 1<<64 - 1} {
		var c Cursor
		text, _ := n.MarshalText()
		if err := c.UnmarshalText(text); err != nil || c != n {
			t.Errorf("%d: %s %v", n, text, err)
		}
	}
	for _, text := range []string{"", "no cursor", "-1", "zzzzzzzzzzzzzzzz"} {
		if err := new(Cursor).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
