package vehicle

import (
	"fmt"
	"iter"
	"math/bits"
	"strings"
)

// Path is one endpoint of a vehicle's data, named as Smartcar v2.0 names it.
type Path uint8

// The paths a read may ask for.
const (
	PathCharge Path = iota
	PathBattery
	PathLocation
	numPaths
)

// String returns the path with its leading slash, "/charge".
func (p Path) String() string {
	switch p {
	case PathCharge:
		return "/charge"
	case PathBattery:
		return "/battery"
	case PathLocation:
		return "/location"
	}
	return fmt.Sprintf("Path(%d)", uint8(p))
}

// Permission returns the Smartcar permission that reading the path needs.
func (p Path) Permission() string { return "read_" + strings.TrimPrefix(p.String(), "/") }

// ParsePath reads a path with or without its leading slash.
func ParsePath(s string) (Path, bool) {
	for p := range numPaths {
		if strings.TrimPrefix(s, "/") == p.String()[1:] {
			return p, true
		}
	}
	return 0, false
}

// Paths is a set of paths.
type Paths uint8

// AllPaths is every path a delivery carries.
const AllPaths Paths = 1<<numPaths - 1

// PathsOf returns the set of the given paths.
func PathsOf(ps ...Path) Paths {
	var s Paths
	for _, p := range ps {
		s |= 1 << p
	}
	return s
}

// Has reports whether p is in the set.
func (s Paths) Has(p Path) bool { return s&(1<<p) != 0 }

// Len returns the number of paths in the set, 0 to 3.
func (s Paths) Len() int { return bits.OnesCount8(uint8(s & AllPaths)) }

// All yields the paths of the set in a fixed order: charge, battery, location.
func (s Paths) All() iter.Seq[Path] {
	return func(yield func(Path) bool) {
		for p := range numPaths {
			if s.Has(p) && !yield(p) {
				return
			}
		}
	}
}

// String lists the paths, "/charge /battery".
func (s Paths) String() string {
	var names []string
	for p := range s.All() {
		names = append(names, p.String())
	}
	return strings.Join(names, " ")
}
