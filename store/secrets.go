package store

import (
	"context"

	"plugbeat/webhook"
)

// AlertMemory begins the names of what alert targets were told, which is kept with the
// secrets and is no account's.
const AlertMemory = "alerts/"

// maxName is the longest name of a secret or grant, in bytes.
const maxName = 512

func checkName(field, name string) error {
	if name == "" || len(name) > maxName {
		return &webhook.Invalid{Field: field, Value: name[:min(len(name), 40)], Allowed: "1 to 512 bytes"}
	}
	return nil
}

// PutSecret seals b and keeps it under the name, replacing what is there. When it
// returns nil the secret survives kill -9.
func (s *Secrets) PutSecret(ctx context.Context, name string, b []byte) error {
	if err := checkName("secret name", name); err != nil {
		return err
	}
	sealed := s.sealer.seal(bucketSecrets, []byte(name), b)
	return s.update(ctx, func(t *writeTx) error { return t.put(bucketSecrets, []byte(name), sealed) })
}

// Secret returns a secret, or an error wrapping webhook.ErrNotFound.
func (s *Secrets) Secret(ctx context.Context, name string) ([]byte, error) {
	return viewed(ctx, s.core, func(r reader) ([]byte, error) {
		sealed := r.get(bucketSecrets, []byte(name))
		if sealed == nil {
			return nil, named("secret", name, webhook.ErrNotFound)
		}
		b, err := s.sealer.open(bucketSecrets, []byte(name), sealed)
		if err != nil {
			return nil, named("secret", name, err)
		}
		return b, nil
	})
}

// DeleteSecret removes a secret; an unknown name is webhook.ErrNotFound.
func (s *Secrets) DeleteSecret(ctx context.Context, name string) error {
	return s.update(ctx, func(t *writeTx) error {
		if t.get(bucketSecrets, []byte(name)) == nil {
			return named("secret", name, webhook.ErrNotFound)
		}
		return t.delete(bucketSecrets, []byte(name))
	})
}

// SecretNames lists the names that begin with prefix, sorted.
func (s *Secrets) SecretNames(ctx context.Context, prefix string) ([]string, error) {
	return viewed(ctx, s.core, func(r reader) (names []string, err error) {
		for k := range r.rows(bucketSecrets, []byte(prefix), nil) {
			names = append(names, string(k))
		}
		return names, nil
	})
}
