package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCompare(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	last := &table{}
	last.add("throughput", "(a) bare client", "24000/s", "", "")
	last.add("", throughput, "**0.15**", "0.2", "")
	last.add("beside", "**ratio**", "**1.05**", "1.1", "")
	last.add("tarpit", "**ratio of p50**", "**0.6**", "1.1", "")
	last.add("", "**ratio of p99**", "**1**", "1.1", "")
	if err := os.WriteFile(page, []byte(markBegin+"\n"+last.markdown()+markEnd+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := func(ba, beside, p50, p99 string) *table {
		x := &table{}
		x.add("throughput", "(a) bare client", "1/s", "", "") // no ratio
		x.add("", throughput, "**"+ba+"**", "0.2", "")
		x.add("beside", "**ratio**", "**"+beside+"**", "1.1", "")
		x.add("tarpit", "**ratio of p50**", "**"+p50+"**", "1.1", "")
		x.add("", "**ratio of p99**", "**"+p99+"**", "1.1", "")
		return x
	}
	for _, c := range []struct {
		table *table
		worse int
		text  string
	}{
		{now("0.126", "1.25", "1.09", "1.2"), 0, `throughput: b / a: 0.126, last time 0.15: within a fifth of the last
beside: ratio: 1.25, last time 1.05: within a fifth of the last
tarpit: ratio of p50: 1.09, last time 0.6: within its aim of 1.1
tarpit: ratio of p99: 1.2, last time 1: within a fifth of the last
`},
		{now("0.124", "1.27", "1.11", "0.1"), 3, `throughput: b / a: 0.124, last time 0.15: WORSE by more than a fifth, and its aim is 0.2
beside: ratio: 1.27, last time 1.05: WORSE by more than a fifth, and its aim is 1.1
tarpit: ratio of p50: 1.11, last time 0.6: WORSE by more than a fifth, and its aim is 1.1
tarpit: ratio of p99: 0.1, last time 1: within a fifth of the last
`},
		{now("0.4", "1", "NaN", "1"), 1, `throughput: b / a: 0.4, last time 0.15: within a fifth of the last
beside: ratio: 1, last time 1.05: within a fifth of the last
tarpit: ratio of p50: NaN, last time 0.6: WORSE by more than a fifth, and its aim is 1.1
tarpit: ratio of p99: 1, last time 1: within a fifth of the last
`},
	} {
		text, worse, err := c.table.compare(page)
		if err != nil || worse != c.worse || text != c.text {
			t.Errorf("%d worse, %v, want %d:\n%swant\n%s", worse, err, c.worse, text, c.text)
		}
	}
	// A figure that the page does not have yet is no failure, a page without a table is.
	x := &table{}
	x.add("new", "**ratio**", "2", "1.1", "")
	if text, worse, err := x.compare(page); err != nil || worse != 0 || text != "new: ratio: 2, and "+page+" has none to compare it with\n" {
		t.Errorf("%q %d %v", text, worse, err)
	}
	if err := os.WriteFile(page, []byte("# A page\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.compare(page); err == nil {
		t.Error("a page without a table is compared with")
	}
}
