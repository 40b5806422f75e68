package vehicle

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// NameForm says what a name may be, of a vehicle and of whatever else people name.
const NameForm = "1 to 64 printable characters without a slash, no space at either end, no hyphen in front, and not an id"

const maxNameRunes = 64

// WhyNoName says why a text cannot be a name; empty where it can.
func WhyNoName(name string) string {
	_, notID := uuid.Parse(name)
	switch {
	case name == "":
		return "it is empty"
	case utf8.RuneCountInString(name) > maxNameRunes:
		return "it is too long"
	case strings.TrimSpace(name) != name:
		return "it begins or ends with a space"
	case strings.ContainsFunc(name, func(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }):
		return "it has characters that do not print"
	case strings.HasPrefix(name, "-"):
		return "it could be taken for an option"
	case strings.Contains(name, "/") || name == "." || name == "..":
		return "it could be taken for a path"
	case notID == nil:
		return "it could be taken for an id"
	}
	return ""
}

// OwnName is what the vehicle is called while no operator gave it a name: what its source calls
// it, else its make and model, else the source's id of it.
func (v Vehicle) OwnName() string {
	return cmp.Or(v.Name, strings.TrimSpace(v.Make+" "+v.Model), v.Native)
}
