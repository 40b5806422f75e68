package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A ratio is a bold row. It may be worse than the last by a fifth before compare
// says so; one that is within its aim is well whatever it was.
const (
	boldMark   = "**"
	throughput = "**b / a**" // the one ratio of which more is better
	fifth      = 0.2
)

// compare holds the ratios of this table against those that the page keeps. It
// returns what to print, and how many are worse by more than a fifth and miss their
// aim. Figures that are no ratio depend on the machine and are left alone.
func (t *table) compare(page string) (text string, worse int, err error) {
	b, err := os.ReadFile(page)
	if err != nil {
		return "", 0, err
	}
	_, rest, _ := strings.Cut(string(b), markBegin)
	kept, _, ok := strings.Cut(rest, markEnd)
	if !ok {
		return "", 0, fmt.Errorf("%s: it has no %q followed by %q", page, markBegin, markEnd)
	}
	last := map[string]string{}
	heading := ""
	for line := range strings.Lines(kept) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 6 {
			continue
		}
		if h := strings.TrimSpace(cells[1]); h != "" {
			heading = h
		}
		last[heading+": "+strings.TrimSpace(cells[2])] = plainly(strings.TrimSpace(cells[3]))
	}
	var s strings.Builder
	heading = ""
	for _, r := range t.rows {
		if r[0] != "" {
			heading = r[0]
		}
		if !strings.HasPrefix(r[1], boldMark) {
			continue
		}
		name := heading + ": " + r[1]
		figure := plainly(r[2])
		now, err := strconv.ParseFloat(figure, 64)
		if err != nil {
			return "", 0, fmt.Errorf("%s is %q: %w", name, figure, err)
		}
		was, err := strconv.ParseFloat(last[name], 64)
		if err != nil {
			fmt.Fprintf(&s, "%s: %s, and %s has none to compare it with\n", plainly(name), figure, page)
			continue
		}
		aim, err := strconv.ParseFloat(r[3], 64)
		if err != nil {
			return "", 0, fmt.Errorf("the aim of %s is %q: %w", name, r[3], err)
		}
		change, within := now/was-1, now <= aim
		if r[1] == throughput {
			change, within = was/now-1, now >= aim
		}
		verdict := "within a fifth of the last"
		switch {
		case change <= fifth:
		case within:
			verdict = "within its aim of " + r[3]
		default: // not a number as well
			verdict = "WORSE by more than a fifth, and its aim is " + r[3]
			worse++
		}
		fmt.Fprintf(&s, "%s: %s, last time %s: %s\n", plainly(name), figure, last[name], verdict)
	}
	return s.String(), worse, nil
}

func plainly(name string) string { return strings.ReplaceAll(name, boldMark, "") }
