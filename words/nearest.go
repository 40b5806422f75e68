package words

import "github.com/xrash/smetrics"

// Nearest returns the candidate that typed most likely meant; empty when none is near
// enough to be worth saying.
func Nearest(typed string, candidates []string) string {
	const near, prefixFrom, prefix = 0.75, 0.7, 4
	best, found := near, ""
	for _, c := range candidates {
		if like := smetrics.JaroWinkler(typed, c, prefixFrom, prefix); len(c) > 1 && like > best {
			best, found = like, c
		}
	}
	return found
}
