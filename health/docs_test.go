package health_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"plugbeat/health"
)

// docs/health.md has a row for every kind of trouble, in the order of urgency, and each of
// its columns is what the code does.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/health.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := append([]found{{code: health.StoreFailed, when: "a write failed for another reason than space, and the process ends", facts: health.Facts{}}}, all...)
	var want []string
	for _, code := range health.Codes() {
		for _, f := range rows {
			if f.code != code {
				continue
			}
			c := health.Broken(errors.New("write /data/plugbeat.db: input/output error"))
			if code != health.StoreFailed {
				c = judged(f.facts).Conditions[0]
			}
			unready := ""
			if c.Unready {
				unready = "503"
			}
			over := health.Over(code, c.Subject)
			if over == "" {
				over = "-"
			}
			want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s |", code, c.Severity, f.when, c.Text, c.Advice(), unready, over))
		}
	}
	got := regexp.MustCompile("(?m)^\\| `[a-z]+\\.[a-z_]+` \\|.*$").FindAllString(string(page), -1)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("docs/health.md does not have these rows:\n%s", strings.Join(want, "\n"))
	}
}
