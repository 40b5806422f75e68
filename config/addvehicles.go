package config

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// AddVehicles returns the text of a config in which a source has these vehicles more, each as
// YAML in a line. What the text says of everything else stays, or the error is [ErrNoPlace].
func AddVehicles(text []byte, dir, source string, vehicles []string) ([]byte, error) {
	before, err := Parse(text, dir)
	if err != nil {
		return nil, err
	}
	root, _ := document(newComplaints(), text)
	_, sources := member(root, "sources")
	_, section := member(sources, source)
	key, list := member(section, "vehicles")
	if section == nil || section.Style&yaml.FlowStyle != 0 || len(section.Content) == 0 {
		return nil, ErrNoPlace
	}
	lines := strings.SplitAfter(string(text), "\n")
	var at, column int // of the first vehicle, from 0
	switch {
	case key == nil: // a list above the section's first key
		at, column = section.Content[0].Line-1, section.Content[0].Column-1
		lines = slices.Insert(lines, at, strings.Repeat(" ", column)+"vehicles:\n")
		at, column = at+1, column+2
	case isNull(list) || list.Kind == yaml.SequenceNode && len(list.Content) == 0:
		at, column = key.Line, key.Column+1
		lines[at-1] = emptyList.ReplaceAllString(strings.TrimRight(lines[at-1], "\n"), "$1") + "\n"
	case list.Style&yaml.FlowStyle != 0:
		return nil, ErrNoPlace
	default:
		at, column = list.Line-1, list.Column-1
	}
	for i, v := range vehicles {
		lines = slices.Insert(lines, at+i, strings.Repeat(" ", column)+"- "+v+"\n")
	}
	after := []byte(strings.Join(lines, ""))
	if _, err := keeps(before, after, dir, "sources."+source+".vehicles"); err != nil {
		return nil, err
	}
	return after, nil
}

// emptyList is a key whose value is written as nothing.
var emptyList = regexp.MustCompile(`^(\s*["']?vehicles["']?\s*:)[ \t]+(?:\[[ \t]*\]|~|null|Null|NULL)`)

// member returns the key and the value of a name in a mapping; nil where there is none.
func member(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// keeps reads a changed text. The error is [ErrNoPlace] where it says something else than the
// config did, but for the setting at the path, and [Error] where it is wrong.
func keeps(before Config, after []byte, dir, but string) (Config, error) {
	now, err := Parse(after, dir)
	if err != nil {
		return now, err
	}
	for path, value := range before.Given {
		if path != but && !strings.HasPrefix(path, but+"[") && now.Given[path] != value {
			return now, ErrNoPlace
		}
	}
	return now, nil
}
