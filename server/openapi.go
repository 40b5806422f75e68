package server

import (
	_ "embed" // openapi.yaml
	"net/http"
)

// openapi describes /api/v1; tests hold it to the code and the code to it.
//
//go:embed openapi.yaml
var openapi []byte

func (s *Server) openapi(*http.Request) (any, error) {
	return verbatim{"application/yaml", openapi}, nil
}
