package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"plugbeat/vehicle"
	"plugbeat/vehicle/all"
)

// Start is a way to begin with a source.
type Start struct {
	vehicle.Start
	// secrets are the names of the credentials of those answers that are files with secrets.
	secrets map[string]string
}

// Starts lists the ways to begin with a source, in the order of the reference.
func Starts() (list []Start) {
	for _, k := range all.Kinds() {
		secrets := map[string]string{}
		for f := range fields(k.Settings()) {
			if what := f.tag.Get("credential"); what != "" {
				secrets[f.key] = what
			}
		}
		for _, s := range k.Starts {
			list = append(list, Start{s, secrets})
		}
	}
	return list
}

// FindStart returns the way to begin of that name; false when there is none.
func FindStart(name string) (Start, bool) {
	for _, s := range Starts() {
		if s.Name == name {
			return s, true
		}
	}
	return Start{}, false
}

// Begun is a source to begin with: a way to begin with the answers to its questions.
type Begun struct {
	Start
	// Name is what the source is called.
	Name string
	// Answers are by the keys of questions; an empty one was not given.
	Answers map[string]string
}

// SecretFile returns the file, below the folder of the config, that a secret belongs in which an
// answer names the file of; empty for other answers.
func (b Begun) SecretFile(key string) string {
	what, ok := b.secrets[key]
	if !ok {
		return ""
	}
	return SecretsDirName + "/" + sourceCredential(b.Name, what)
}

// Section is the source's section, as lines of the level of sources. In a system's config it
// does not name the files of secrets, which systemd hands over.
func (b Begun) Section(system bool) string {
	var left, pairs []string
	for _, q := range b.Questions {
		hole, answer := "{"+q.Key+"}", b.Answers[q.Key]
		file := b.SecretFile(q.Key)
		switch {
		case answer == "" || file != "" && system:
			left = append(left, hole)
		case file != "":
			pairs = append(pairs, hole, scalar(file))
		default:
			pairs = append(pairs, hole, scalar(answer))
		}
	}
	fill := strings.NewReplacer(append(pairs, "{name}", b.Name)...)
	var out strings.Builder
	out.WriteString("  " + b.Name + ":\n")
	for line := range strings.Lines(b.Start.Section) {
		if !slices.ContainsFunc(left, func(hole string) bool { return strings.Contains(line, hole) }) {
			out.WriteString("    " + fill.Replace(line))
		}
	}
	return out.String()
}

// plain is what YAML reads as the same text, or as the same number, without quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_./:@-]*[A-Za-z0-9/])?$`)

// scalar writes an answer as YAML, in flow collections too.
func scalar(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return strconv.Quote(text)
	}
	if plain.MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}

// Check returns what is wrong with one answer, by the rules that its section is held to; nil
// while it is well, whatever else is missing.
func (b Begun) Check(key string) error {
	for _, q := range b.Questions {
		if q.Key == key && b.Answers[key] == "" {
			if q.Optional {
				return nil
			}
			return fmt.Errorf("%s is needed: %s", key, q.Ask)
		}
	}
	return b.wrong(func(c Complaint) bool { return strings.HasSuffix(c.Field, "."+key) || c.Value == b.Answers[key] })
}

// CheckAll returns what is wrong with the section once every question is answered.
func (b Begun) CheckAll() error { return b.wrong(func(Complaint) bool { return true }) }

// wrong returns the first of these complaints about the section; nil for none.
func (b Begun) wrong(is func(Complaint) bool) error {
	_, err := Parse([]byte("sources:\n"+b.Section(false)), "/")
	wrong, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	for i := range wrong.Complaints {
		if is(wrong.Complaints[i]) {
			return &wrong.Complaints[i].Invalid
		}
	}
	return nil
}

// CheckName returns what is wrong with the name of the source.
func (b Begun) CheckName() error {
	if sourceName.MatchString(b.Name) {
		return nil
	}
	return fmt.Errorf("name %q is no name for a source; allowed: 1 to 16 characters of a-z, 0-9 and '-'", b.Name)
}

// sourcesLine is the heading that sections of sources stand below.
var sourcesLine = regexp.MustCompile(`(?m)^sources:[ \t]*(\{\}[ \t]*)?(#.*)?$`)

// ErrNoPlace means that a config is laid out in a way that a section cannot be put into.
var ErrNoPlace = errors.New("the section cannot be put into the file as it is laid out")

// Insert returns the text of a config with a valid section of a source more, the first of all.
// What the text says of everything else stays, or the error is [ErrNoPlace].
func Insert(text []byte, dir, section string) ([]byte, error) {
	before, err := Parse(text, dir)
	if err != nil {
		return nil, err
	}
	after := string(text)
	if at := sourcesLine.FindStringIndex(after); at != nil {
		heading := strings.TrimRight(strings.Replace(after[at[0]:at[1]], "{}", "", 1), " \t")
		after = after[:at[0]] + heading + "\n" + section + strings.TrimPrefix(after[at[1]:], "\n")
	} else {
		after = strings.TrimRight(after, "\n") + "\n\nsources:\n" + section
	}
	now, err := keeps(before, []byte(after), dir, "")
	if err != nil || len(now.Sources) != len(before.Sources)+1 {
		return nil, ErrNoPlace
	}
	return []byte(after), nil
}
