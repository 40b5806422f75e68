package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"plugbeat/config"
	"plugbeat/vehicle"
	"plugbeat/vehicle/httpjson"
	"plugbeat/vehicle/intake"
	"plugbeat/vehicle/mapping"
)

// block is a block of code in a page: its language, what stands behind it, and its text.
var block = regexp.MustCompile("(?ms)^```([a-z]+)(?: (\\S+))?\n(.*?)^```$")

// worked is a map of a page with an example: the documents by their paths, and what plugbeat
// knows by them.
type worked struct {
	section   string
	documents map[string]string
	known     string
}

// workedMaps are those of a page, each a block of sources, documents, and what is known.
func workedMaps(page string) (list []worked) {
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		language, path, text := m[1], m[2], m[3]
		last := len(list) - 1
		switch {
		case language == "yaml" && strings.HasPrefix(text, "sources:\n"):
			list = append(list, worked{section: text, documents: map[string]string{}})
		case language == "json" && last >= 0:
			list[last].documents[path] = text
		case language == "text" && last >= 0:
			list[last].known += text
		}
	}
	return list
}

// TestWorkedMaps runs the maps of docs/sources over the documents below them.
func TestWorkedMaps(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/sources/*.md"))
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			page, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			maps := workedMaps(string(page))
			if len(maps) == 0 && name != "README.md" {
				t.Fatal("no worked map")
			}
			for _, m := range maps {
				if got := m.run(t); got != m.known {
					t.Errorf("plugbeat knows\n%s\nand the page says\n%s\nof\n%s", got, m.known, m.section)
				}
			}
		})
	}
}

// run says what is known after the documents, an hour after they arrived: long enough for all of it
// to have settled.
func (m worked) run(t *testing.T) string {
	t.Helper()
	cfg, err := config.Parse([]byte(m.section), "/d")
	if err != nil || len(cfg.Sources) != 1 || len(m.documents) == 0 {
		t.Fatalf("%v, %d documents of\n%s", err, len(m.documents), m.section)
	}
	var vehicles []mapping.Vehicle
	for _, s := range cfg.Sources {
		switch s := s.Settings.(type) {
		case *intake.Settings:
			vehicles = s.Vehicles
		case *httpjson.Settings:
			vehicles = s.Vehicles
		}
	}
	arrived := time.Date(2026, 12, 1, 8, 0, 30, 0, time.UTC)
	var out strings.Builder
	for _, v := range vehicles {
		memory := mapping.NewMemory(v, 0, vehicle.Snapshot{}, arrived)
		memory.Connected(arrived)
		for path, text := range m.documents {
			for _, verdict := range memory.Take(mapping.Message{Topic: path, Payload: []byte(text), At: arrived}) {
				if verdict.Refused != "" || strings.HasPrefix(verdict.Nothing, "nothing is at") {
					t.Errorf("%+v", verdict)
				}
			}
		}
		memory.Settle(arrived)
		if len(vehicles) > 1 {
			out.WriteString(v.ID + ": ")
		}
		out.WriteString(known(memory.Read(arrived.Add(time.Hour), vehicle.AllPaths), arrived) + "\n")
	}
	return out.String()
}

// known is a snapshot in a line.
func known(s vehicle.Snapshot, arrived time.Time) string {
	var parts []string
	if s.Charge.OK {
		parts = append(parts, strings.TrimSpace(s.Charge.Value.Plug.String()+" "+string(s.Charge.Value.State)))
	}
	if s.Battery.OK {
		parts = append(parts, fmt.Sprintf("level %.4g", s.Battery.Value.PercentRemaining))
		if r := s.Battery.Value.RangeKm; r != nil {
			parts = append(parts, fmt.Sprintf("%.4g km", *r))
		}
	}
	if s.Location.OK {
		parts = append(parts, fmt.Sprintf("at %g,%g", s.Location.Value.Latitude, s.Location.Value.Longitude))
	}
	if s.Charge.OK && !s.Charge.DataAge.Equal(arrived) {
		parts = append(parts, "as of "+s.Charge.DataAge.Format(time.RFC3339))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// TestScriptsSection: the section of docs/sources/scripts.md is the one that init writes.
func TestScriptsSection(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/sources/scripts.md"))
	if err != nil {
		t.Fatal(err)
	}
	start, _ := config.FindStart("intake")
	written := config.Begun{Start: start, Name: start.Source, Answers: map[string]string{"vehicle": "leaf", "make": "NISSAN"}}.Section(false)
	var sources [2]map[string]config.Source
	for i, text := range []string{workedMaps(string(page))[0].section, "sources:\n" + written} {
		cfg, err := config.Parse([]byte(text), "/d")
		if err != nil {
			t.Fatal(err)
		}
		sources[i] = cfg.Sources
	}
	if !reflect.DeepEqual(sources[0], sources[1]) {
		t.Errorf("init writes\n%s", written)
	}
}
