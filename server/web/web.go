// Package web has what every room of the server needs and only one place should say: who
// may ask ([Auth]), how errors are answered (the error table), how replies are written,
// how lists are paged, what an ETag is of, and what each request passes first
// ([Replies.Guard]).
//
// It guarantees that every request has an id, a bounded body and a path that is never
// redirected; that every error of both APIs comes from one table; that no error or log
// line shows a token; and that refused requests write a few log lines a minute, however
// many there are.
//
// Change here what two rooms share. What one room alone needs belongs to that room.
package web

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// Mux is what of an http.ServeMux the rooms' route tables use.
type Mux interface {
	Handle(pattern string, h http.Handler)
}

// ParseID takes a UUID in its usual form and no other.
func ParseID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// Clip shortens what is quoted back to who sent it.
func Clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "..."
	}
	return s
}

// Quote is Clip in quotes, with control characters escaped.
func Quote(s string) string { return strconv.Quote(Clip(s)) }

// UserOf is the id of a vehicle's owner as the application sees it: the vendor's where
// that is a UUID, else one made of the account at the source.
func UserOf(application uuid.UUID, v vehicle.Vehicle) uuid.UUID {
	if id, ok := ParseID(v.Connection); ok {
		return id
	}
	return uuid.NewSHA1(application, []byte("account/"+v.Source+"/"+v.Connection))
}

// ReadInfo is the permission to see make, model and year.
const ReadInfo = "read_vehicle_info"

// Permissions lists the permissions of the endpoints of /v2.0 that deliveries carry.
func Permissions() []string {
	all := []string{ReadInfo}
	for p := range vehicle.AllPaths.All() {
		all = append(all, p.Permission())
	}
	return all
}
