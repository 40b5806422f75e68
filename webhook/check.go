package webhook

import (
	"plugbeat/vehicle"
)

// CheckName returns an error naming the value and what is allowed when name
// cannot be the name of a webhook or a token: commands and paths take it where
// they take an id.
func CheckName(name string) error {
	if why := vehicle.WhyNoName(name); why != "" {
		return &Invalid{Field: "name", Value: quoted(name), Why: why, Allowed: vehicle.NameForm}
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
