package config

import (
	"strings"
	"testing"
)

// Redirect URIs are of the web or of an app's own scheme, and nothing that a browser
// would run or open by itself.
func TestRedirectURIs(t *testing.T) {
	for uri, good := range map[string]bool{
		"https://app.example.com/exchange?a=b": true, "http://localhost:8000/exchange": true, "com.example.app://exchange": true, "com.example.app:/exchange": true,
		"sc3f5a0d52-0000-4000-8000-000000000001://exchange": true,
		"javascript:alert(1)":                               false, "data:text/html,x": false, "file:///etc/passwd": false, "about:blank": false, "ftp://app.example.com/": false, "scjs://x": false,
		"https://app.example.com/#x": false, "com.example.app://exchange#x": false, "com.example.app://me@exchange": false, "/exchange": false, "": false, "https:///exchange": false,
	} {
		c := Default()
		c.Application.RedirectURIs = []string{uri}
		err := c.Check()
		if good != (err == nil || !strings.Contains(err.Error(), "redirect_uris[0]")) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestPublicURL(t *testing.T) {
	for u, good := range map[string]bool{
		"": true, "https://plugbeat.example.com": true, "https://example.com/plugbeat/": true, "http://127.0.0.1:8765": true,
		"plugbeat.example.com": false, "https://plugbeat.example.com/?a": false, "https://plugbeat.example.com/?": false, "https://plugbeat.example.com/#a": false, "https://me@plugbeat.example.com": false, "ftp://plugbeat.example.com": false,
	} {
		c := Default()
		c.HTTP.PublicURL = u
		err := c.Check()
		if good != (err == nil || !strings.Contains(err.Error(), "http.public_url")) {
			t.Errorf("%q: %v", u, err)
		}
	}
}
