package store

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"plugbeat/access"
)

func checkSecrets(c *checker) {
	c.walk(bucketSecrets, func(k, v []byte) {
		if len(v) < sealedMin {
			c.bad(bucketSecrets, string(k), "it is not sealed")
		} else if c.sealer != nil {
			if _, err := c.sealer.open(bucketSecrets, k, v); err != nil {
				c.bad(bucketSecrets, string(k), "%v", err)
			}
		}
	})
}

func checkGrants(c *checker) {
	c.walk(bucketGrants, func(k, _ []byte) {
		g, err := c.grant(k)
		if err != nil {
			c.bad(bucketGrants, string(k), "%v", err)
			return
		}
		if g.Name != string(k) {
			c.bad(bucketGrants, string(k), "its record says %q", g.Name)
		}
		if !bytes.Equal(c.get(bucketGrantsByHash, g.Hash[:]), k) {
			c.bad(bucketGrantsByHash, string(k), "the row is missing, its token is there")
		}
	})
}

func checkGrantsByHash(c *checker) {
	c.walk(bucketGrantsByHash, func(k, v []byte) {
		var g access.Grant
		g, err := c.grant(v)
		if err != nil || !bytes.Equal(g.Hash[:], k) {
			c.bad(bucketGrantsByHash, string(v), "there is no such token")
		}
	})
}

func checkConsents(c *checker) {
	c.ids(bucketConsents, func(id uuid.UUID, key string, _ []byte) {
		rec, err := c.consent(id[:])
		switch {
		case err != nil:
			c.bad(bucketConsents, key, "%v", err)
			return
		case rec.ID != id:
			c.bad(bucketConsents, key, "its record says %s", rec.ID)
		}
		for _, h := range rec.Hashes() {
			if !bytes.Equal(c.get(bucketConsentsByHash, h[:]), id[:]) {
				c.bad(bucketConsentsByHash, key, "the row of one of its tokens is missing")
			}
		}
	})
}

func checkConsentsByHash(c *checker) {
	c.walk(bucketConsentsByHash, func(k, v []byte) {
		rec, err := c.consent(v)
		if err != nil || !slices.ContainsFunc(rec.Hashes(), func(h access.TokenHash) bool { return bytes.Equal(h[:], k) }) {
			c.bad(bucketConsentsByHash, printID(v), "there is no such token")
		}
	})
}
