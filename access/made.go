package access

import (
	"slices"

	"github.com/google/uuid"
)

// Made is a subscription that the application made in an owner's name.
type Made struct {
	Webhook uuid.UUID `json:"webhook"`
	Vehicle uuid.UUID `json:"vehicle"`
}

// Note adds a subscription to what was made by the consent.
func (c *Consent) Note(m Made) {
	if !slices.Contains(c.Made, m) {
		c.Made = append(slices.Clone(c.Made), m)
	}
}

// Release takes a vehicle out of the consent, and returns what was made for it.
func (c *Consent) Release(vehicle uuid.UUID) (made []Made) {
	is := func(m Made) bool { return m.Vehicle == vehicle }
	for _, m := range c.Made {
		if is(m) {
			made = append(made, m)
		}
	}
	c.Made = slices.DeleteFunc(slices.Clone(c.Made), is)
	c.Vehicles = slices.DeleteFunc(slices.Clone(c.Vehicles), func(id uuid.UUID) bool { return id == vehicle })
	return made
}

// Allows reports whether a scope lets everything be done that another one does; empty is
// all.
func Allows(scope, other []string) bool {
	if len(scope) == 0 {
		return true
	}
	return len(other) > 0 && !slices.ContainsFunc(other, func(p string) bool { return !slices.Contains(scope, p) })
}
