package adminapi

import "iter"

// Limits of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 500
)

// Page is one page of a list.
type Page[T any] struct {
	// Items is never null.
	Items []T `json:"items"`
	// Next continues the list when given as the next request's after (before,
	// for deliveries); empty on the last page. It is opaque.
	Next string `json:"next"`
}

// All walks every page of a list. It stops at the first error, which it yields
// with a zero item:
//
//	for v, err := range api.All(func(after string) (api.Page[api.VehicleView], error) {
//		return c.Vehicles(ctx, after, 0)
//	}) { ... }
func All[T any](page func(after string) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var after string
		for {
			p, err := page(after)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if p.Next == "" || p.Next == after {
				return
			}
			after = p.Next
		}
	}
}
