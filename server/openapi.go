package server

import (
	_ "embed" // openapi.yaml
	"net/http"
	"sync"
)

// openapi describes /api/v1; tests hold it to the code and the code to it.
//
//go:embed openapi.yaml
var openapi []byte

func (s *Server) openapiYAML(*http.Request) (any, error) {
	return verbatim{"application/yaml", openapi}, nil
}

// openapiJSON makes the JSON when it is first asked for.
func (s *Server) openapiJSON(*http.Request) (any, error) {
	s.inJSON.Do(func() { s.openAPI, s.openAPIErr = s.JSON(openapi) })
	return verbatim{"application/json", s.openAPI}, s.openAPIErr
}

// converted is the document in JSON.
type converted struct {
	inJSON     sync.Once
	openAPI    []byte
	openAPIErr error
}
