package config

import "testing"

func TestJSON(t *testing.T) {
	got, err := JSON([]byte("b: [1, \"2\", true, null, 1.5]\na: {x-y: |\n  two\n  lines\n}\n"))
	if err == nil {
		t.Fatalf("a document that is none became %s", got)
	}
	got, err = JSON([]byte("b: [1, \"2\", true, null, 1.5, <&>]\na:\n  x-y: |\n    two\n    lines\n"))
	if want := `{"a":{"x-y":"two\nlines\n"},"b":[1,"2",true,null,1.5,"\u003c\u0026\u003e"]}`; err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	if _, err := JSON([]byte("{1: 2}")); err == nil {
		t.Error("a key that is a number has no JSON")
	}
}
