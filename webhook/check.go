package webhook

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// maxNameRunes bounds a name, in characters.
const maxNameRunes = 64

// CheckName returns an error naming the value and what is allowed when name
// cannot be the name of a webhook or a token: commands and paths take it where
// they take an id.
func CheckName(name string) error {
	bad := func(why string) error {
		return &Invalid{Field: "name", Value: quoted(name), Why: why,
			Allowed: "1 to 64 printable characters without a slash, no space at either end, no hyphen in front, and not an id"}
	}
	_, notID := uuid.Parse(name)
	switch {
	case name == "":
		return bad("it is empty")
	case utf8.RuneCountInString(name) > maxNameRunes:
		return bad("it is too long")
	case strings.TrimSpace(name) != name:
		return bad("it begins or ends with a space")
	case strings.ContainsFunc(name, func(c rune) bool { return c == utf8.RuneError || !unicode.IsPrint(c) }):
		return bad("it has characters that do not print")
	case strings.HasPrefix(name, "-"):
		return bad("it could be taken for an option")
	case strings.Contains(name, "/") || name == "." || name == "..":
		return bad("it could be taken for a path")
	case notID == nil:
		return bad("it could be taken for an id")
	}
	return nil
}

// CheckSigning returns an error naming what is allowed unless s is one of the
// three ways to sign.
func CheckSigning(s Signing) error {
	switch s {
	case SignSmartcar, SignStandard, SignBoth:
		return nil
	}
	return &Invalid{Field: "signing", Value: quoted(string(s)), Allowed: "smartcar, standard or both"}
}

// quoted cuts what is quoted back to who sent it.
func quoted(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "..."
	}
	return s
}
