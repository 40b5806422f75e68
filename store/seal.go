package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"plugbeat/webhook"
)

// keyLen is the length of the sealing key in bytes (AES-256).
const keyLen = 32

// sealedMin is the length of a sealed empty secret: nonce and tag.
const sealedMin = 12 + 16

// sealer seals values with AES-256-GCM under a random nonce, which precedes the
// sealed bytes. A value is bound to its bucket and key, so that a sealed value
// moved elsewhere in the file does not open there.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != keyLen {
		return nil, &webhook.Invalid{Field: "key", Value: fmt.Sprintf("%d bytes", len(key)), Allowed: "32 bytes"}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return &sealer{aead}, nil
}

func sealContext(bucket string, key []byte) []byte {
	return append(append([]byte(bucket), 0), key...)
}

// seal never fails: crypto/rand ends the process rather than return weak bytes.
func (s *sealer) seal(bucket string, key, plain []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize(), sealedMin+len(plain))
	_, _ = rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, plain, sealContext(bucket, key))
}

func (s *sealer) open(bucket string, key, sealed []byte) ([]byte, error) {
	if len(sealed) < sealedMin {
		return nil, &unreadable{errSeal}
	}
	n := s.aead.NonceSize()
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], sealContext(bucket, key))
	if err != nil {
		return nil, &unreadable{errSeal}
	}
	return plain, nil
}
