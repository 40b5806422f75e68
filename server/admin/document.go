package admin

import (
	_ "embed" // openapi.yaml
	"net/http"
)

// openapi describes /api/v1; tests hold it to the code and the code to it.
//
//go:embed openapi.yaml
var openapi []byte

// document answers with the API's description.
func document(*http.Request) (any, error) { return verbatim{"application/yaml", openapi}, nil }
