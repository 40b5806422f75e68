// Package systemd is what plugbeat knows of the service manager that runs it: the
// unit and the user it installs, the messages that tell the manager how the daemon
// fares, and the journal's own protocol.
//
// The unit and the user are files beside this one, so that the packages and
// plugbeat init --systemd install the same text.
package systemd

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Where a daemon that systemd runs has its things.
const (
	// PackagedExe is where packages put the binary, and what the unit names.
	PackagedExe = "/usr/bin/plugbeat"
	// UnitName is the service's name.
	UnitName = "plugbeat.service"
	// MinVersion is the oldest systemd that takes the unit: the first that makes
	// credentials of a folder's files.
	MinVersion = 251
	// User is the user and the group that the daemon runs as.
	User = "plugbeat"
)

//go:embed plugbeat.service
var unit string

//go:embed plugbeat.sysusers
var sysusers string

// Sysusers returns the sysusers.d text of the daemon's user and group.
func Sysusers() string { return sysusers }

// plainPath is a path that a unit takes as it is: no quoting, no specifiers.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._+-]+$`)

// Unit returns the unit that runs the binary at exe, an absolute path. It is the
// packages' unit with another ExecStart. An error names a path that a unit cannot
// hold as it is.
func Unit(exe string) (string, error) {
	if !plainPath.MatchString(exe) {
		return "", fmt.Errorf("the path %q has characters that a unit does not take as they are; allowed: letters, digits and / . _ + -", exe)
	}
	return strings.Replace(unit, "ExecStart="+PackagedExe+" ", "ExecStart="+exe+" ", 1), nil
}

// mark is how the head of a unit that [Marked] made begins; the sum of the rest
// follows.
const mark = "# Written by plugbeat init --systemd. Keep changes of your own in a drop-in, which\n" +
	"# an upgrade leaves alone: systemctl edit plugbeat\n# sum "

// Marked returns the unit's text with a head that tells whether it was edited since.
func Marked(text string) string { return mark + sum(text) + "\n" + text }

// Edited reports whether the text is not one that [Marked] made, or not any more.
func Edited(text string) bool {
	rest, ok := strings.CutPrefix(text, mark)
	s, rest, _ := strings.Cut(rest, "\n")
	return !ok || s != sum(rest)
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:8])
}
