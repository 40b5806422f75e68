package access

import "time"

// leeway is how long what has ended is kept all the same: a daemon may have believed a clock
// that was ahead by as much.
const leeway = 3 * time.Hour

// Doubt marks what was issued or used while the wall clock could not be believed: these tokens,
// and a code that nobody exchanged yet. What is marked works until [Consent.Settle] gives it
// its life.
func (c *Consent) Doubt(tokens ...TokenHash) {
	for i := range c.Tokens {
		for _, h := range tokens {
			c.Tokens[i].Doubted = c.Tokens[i].Doubted || c.Tokens[i].Hash == h
		}
	}
	if c.Code != nil && c.Code.UsedAt.IsZero() {
		code := *c.Code
		code.Doubted = true
		c.Code = &code
	}
}

// Settle takes in what time it is, on a clock that is believed, and reports whether that
// changed the consent. What was marked by [Consent.Doubt] lives from now on as long as what is
// new. What a clock that was ahead gave a longer life than that is cut to it, and tokens that
// ended some hours ago are let go.
func (c *Consent) Settle(now time.Time) (changed bool) {
	if c.Code != nil {
		code := *c.Code
		changed = settle(&code.Doubted, &code.ExpiresAt, &code.UsedAt, CodeLife, now)
		c.Code = &code
	}
	var kept []ConsentToken
	for _, t := range c.Tokens {
		life := AccessLife
		if t.Kind == RefreshKind {
			life = RefreshLife
		}
		if settle(&t.Doubted, &t.ExpiresAt, &t.UsedAt, life, now) {
			changed = true
		}
		if t.good(now.Add(-leeway)) {
			kept = append(kept, t)
		}
	}
	changed = changed || len(kept) < len(c.Tokens)
	c.Tokens = kept
	return changed
}

// settle makes one life begin anew where it was doubted, and end in time where it is too long.
func settle(doubted *bool, expires, used *time.Time, life time.Duration, now time.Time) (changed bool) {
	if *doubted || expires.After(now.Add(life)) {
		*expires, changed = now.Add(life), true
	}
	if !used.IsZero() && (*doubted || used.After(now)) {
		*used, changed = now, true
	}
	*doubted = false
	return changed
}

// Over reports whether a consent that was settled gives nothing any more, and has not for
// some hours.
func (c Consent) Over(now time.Time) bool { return c.Ended(now.Add(-leeway)) }
