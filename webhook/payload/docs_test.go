package payload

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDocs holds that every envelope and entry shown in docs/wire.md is, without
// its line breaks, part of what a golden file says is sent.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var sent [][]byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, b)
	}
	shown := 0
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(doc, -1) {
		var compact bytes.Buffer
		if err := json.Compact(&compact, block[1]); err != nil {
			t.Errorf("%s: %v", block[1], err)
			continue
		}
		if bytes.HasPrefix(compact.Bytes(), []byte(`{"challenge"`)) {
			continue // an answer; package signing holds it
		}
		found := false
		for _, b := range sent {
			found = found || bytes.Contains(b, compact.Bytes())
		}
		if !found {
			t.Errorf("docs/wire.md shows what no golden file has: %s", compact.Bytes())
		}
		shown++
	}
	if shown < 3 {
		t.Errorf("docs/wire.md shows %d bodies", shown)
	}
}
