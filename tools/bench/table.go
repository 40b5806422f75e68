package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table is what a run prints, as Markdown.
type table struct {
	about []string
	rows  [][5]string
}

// add adds a row; heading is empty where the row before has it.
func (t *table) add(heading, what, figure, aim, remark string) {
	t.rows = append(t.rows, [5]string{heading, what, figure, aim, remark})
}

// machine notes where and of what the figures are.
func (t *table) machine(ctx context.Context, dir string) error {
	cpu := "unknown"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				cpu = strings.TrimSpace(v)
				break
			}
		}
	}
	memory := "unknown"
	if f, err := os.Open("/proc/meminfo"); err == nil {
		if line := bufio.NewScanner(f); line.Scan() {
			var kB float64
			if _, err := fmt.Sscanf(line.Text(), "MemTotal: %g kB", &kB); err == nil {
				memory = bytesText(kB * 1024)
			}
		}
		_ = f.Close()
	}
	p50, p99, err := syncTime(dir)
	if err != nil {
		return err
	}
	git := func(args ...string) string {
		b, err := exec.CommandContext(ctx, "git", args...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(b))
	}
	commit := git("rev-parse", "--short=12", "HEAD")
	if s := git("status", "--porcelain", "--untracked-files=no"); s != "" {
		commit += " with changes"
	}
	t.about = []string{
		"date: " + time.Now().UTC().Format(time.DateOnly),
		fmt.Sprintf("machine: %d cores of %s, %s of memory, %s/%s", runtime.NumCPU(), cpu, memory, runtime.GOOS, runtime.GOARCH),
		fmt.Sprintf("disk: %s; a write of 4 KiB and its sync take %s (p50) and %s (p99)", filesystem(dir), millis(p50), millis(p99)),
		fmt.Sprintf("built with %s from commit %s", runtime.Version(), commit),
	}
	return nil
}

// filesystem names the type of file system that the folder is on.
func filesystem(dir string) string {
	b, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return "unknown"
	}
	best, kind := "", "unknown"
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 2 && (dir == f[1] || strings.HasPrefix(dir, strings.TrimSuffix(f[1], "/")+"/")) && len(f[1]) >= len(best) {
			best, kind = f[1], f[2]
		}
	}
	return kind
}

// syncTime is how long the disk takes for a page, in milliseconds.
func syncTime(dir string) (p50, p99 float64, err error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	var ms []float64
	for range 200 {
		begin := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		ms = append(ms, float64(time.Since(begin).Microseconds())/1000)
	}
	return quantile(ms, 0.5), quantile(ms, 0.99), nil
}

// markdown is the table with what it is of.
func (t *table) markdown() string {
	var s strings.Builder
	for _, a := range t.about {
		fmt.Fprintf(&s, "- %s\n", a)
	}
	s.WriteString("\n| | what | figure | aim | remark |\n|---|---|---|---|---|\n")
	for _, r := range t.rows {
		fmt.Fprintf(&s, "| %s |\n", strings.Join(r[:], " | "))
	}
	return s.String()
}

// The marks between which a page holds a table.
const (
	markBegin = "<!-- figures: go run ./tools/bench -write docs/dev/performance.md -->"
	markEnd   = "<!-- end of figures -->"
)

// keep puts the table between the marks of the page.
func (t *table) keep(page string) error {
	b, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := between(string(b), t.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	info, err := os.Stat(page)
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(text), info.Mode().Perm())
}

func between(page, table string) (string, error) {
	before, rest, ok1 := strings.Cut(page, markBegin)
	_, after, ok2 := strings.Cut(rest, markEnd)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("it has no %q followed by %q", markBegin, markEnd)
	}
	return before + markBegin + "\n" + table + markEnd + after, nil
}

// quantile returns the value at the share q of the sorted values, NaN of none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func median(values []float64) float64 { return quantile(values, 0.5) }

func perSecond(f float64) string { return fmt.Sprintf("%.0f/s", f) }
func millis(f float64) string    { return fmt.Sprintf("%.1f ms", f) }
func ratio(f float64) string     { return fmt.Sprintf("%.3g", f) }
func seconds(d time.Duration) string {
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// spread shows the rounds that a median is of.
func spread(values []float64) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = ratio(v)
	}
	return "rounds: " + strings.Join(texts, ", ")
}

// bytesText is a number of bytes as a person reads it.
func bytesText(n float64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", n/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", n/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", n/(1<<10))
}
