package config

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// JSON returns a YAML document as JSON, with its keys in the alphabet's order. It is
// for documents of plugbeat's own: keys that are not texts are an error.
func JSON(document []byte) ([]byte, error) {
	var tree any
	if err := yaml.Unmarshal(document, &tree); err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return b, nil
}
