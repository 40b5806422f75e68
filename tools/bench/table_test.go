package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{hundred, 0.5, 51}, {hundred, 0.99, 100}, {hundred, 1, 100}, {hundred, 0, 1},
		{[]float64{3, 1, 2}, 0.5, 2}, {[]float64{7}, 0.99, 7},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %d values is %v, want %v", c.q, len(c.values), got, c.want)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("a quantile of nothing is %v, want NaN", got)
	}
	if hundred[0] != 100 {
		t.Error("quantile changed its input")
	}
}

func TestDelays(t *testing.T) {
	ts := []timed{{0, time.Millisecond}, {time.Second, 2 * time.Millisecond}, {2 * time.Second, 3 * time.Millisecond}}
	got := delays(ts, time.Second, 2*time.Second)
	if len(got) != 1 || got[0] != 2 {
		t.Errorf("delays of what was due in second 1: %v, want [2]", got)
	}
}

// The page keeps everything but the table, as often as it is written.
func TestKeep(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("# A page\n\n"+markBegin+"\nold\n"+markEnd+"\n\nThe end.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		x := &table{about: []string{"date: today"}}
		x.add("idle", "memory", "20.0 MiB", "30 MiB", "")
		if err := x.keep(page); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := "# A page\n\n" + markBegin + "\n- date: today\n\n| | what | figure | aim | remark |\n|---|---|---|---|---|\n| idle | memory | 20.0 MiB | 30 MiB |  |\n" + markEnd + "\n\nThe end.\n"
	if string(b) != want {
		t.Errorf("the page is\n%s\nwant\n%s", b, want)
	}
	if _, err := between("no marks", "table"); err == nil || !strings.Contains(err.Error(), "figures") {
		t.Errorf("a page without marks: %v", err)
	}
}

// docs/dev/performance.md has the marks, so that the command finds its place.
func TestPage(t *testing.T) {
	b, err := os.ReadFile("../../docs/dev/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := between(string(b), ""); err != nil {
		t.Error(err)
	}
}
