package admin

import (
	_ "embed" // openapi.yaml
	"net/http"
	"sync"
)

// openapi describes /api/v1; tests hold it to the code and the code to it.
//
//go:embed openapi.yaml
var openapi []byte

// document serves the API's description.
type document struct {
	toJSON func([]byte) ([]byte, error)
	once   sync.Once // the JSON is made when it is first asked for
	text   []byte
	err    error
}

func (d *document) yaml(*http.Request) (any, error) {
	return verbatim{"application/yaml", openapi}, nil
}

func (d *document) json(*http.Request) (any, error) {
	d.once.Do(func() { d.text, d.err = d.toJSON(openapi) })
	return verbatim{"application/json", d.text}, d.err
}
