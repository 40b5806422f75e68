package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"plugbeat/webhook"
)

func TestCheckCallback(t *testing.T) {
	long := "https://receiver.example/" + strings.Repeat("x", 1975)
	for _, good := range []string{
		"https://receiver.example", "http://127.0.0.1:8099/", "https://[::1]:1/x?y=z&u=a@b", "HTTPS://receiver.example/a%2Fb", "https://receiver.example:65535", "https://receiver.example/@me", "https://1.2.3.4.example./", "https://0xcafe.example/", "https://a.0xcafes/", "http://[fe80::1%25eth0]/", long,
	} {
		if err := webhook.CheckCallback(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, c := range []struct{ uri, why string }{
		{"", "scheme"}, {"/hook", "scheme"}, {"receiver.example/hook", "scheme"}, {"//receiver.example/hook", "scheme"}, {"ftp://receiver.example/", "scheme"},
		{"unix:///run/x.sock", "scheme"}, {"javascript:alert(1)", "scheme"}, {"https:receiver.example", "no host"}, {"https:///hook", "no host"}, {"https://:443/", "no host"},
		{"https://receiver.example/#part", "fragment"}, {"https://receiver.example:0/", "port"}, {"https://receiver.example:65536/", "port"},
		{"https://receiver.example:x/", "not a URI"}, {"https://receiver.example/\n", "not a URI"}, {"https://receiver.example/%zz", "not a URI"}, {"https://receiver.example/\xff", "not a URI"},
		{"http://127.1/", "ends in a number"}, {"http://0x7f.0.0.0x1/", "ends in a number"}, {"http://2130706433:80/", "ends in a number"}, {"http://0X7F000001/", "ends in a number"}, {"http://127.0.0.1./", "ends in a number"},
		{"http://0177.0.0.1/", "ends in a number"}, {"http://receiver.256/", "ends in a number"}, {"http://0x/", "ends in a number"},
		{long + "x", "too long"},
		{"https://hunter2@receiver.example/", "userinfo"}, {"https://u:hunter2@receiver.example/", "userinfo"}, {"https://@receiver.example/", "userinfo"},
		{"https://u:hunter2%zz@receiver.example/", "not a URI"}, {"https://u:hunter2/x@receiver.example/", "not a URI"}, {"https://u:hunter2 @receiver.example/", "not a URI"},
		{"u:hunter2@receiver.example", "scheme"},
	} {
		err := webhook.CheckCallback(c.uri)
		bad, ok := errors.AsType[*webhook.Invalid](err)
		if !ok || bad.Field != "callback_uri" || !strings.Contains(bad.Why, c.why) || !strings.Contains(bad.Allowed, "absolute http or https") {
			t.Errorf("%q: %v, want %s", c.uri, err, c.why)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || len(bad.Value) > 210 {
			t.Errorf("%q: the error shows a password, or too much: %v", c.uri, err)
		}
	}
}

// A secret prints as the same text in every way that Go prints, bare and inside a
// structure.
func TestSecretNeverPrints(t *testing.T) {
	s := webhook.Secret("hunter2")
	w := webhook.Webhook{Name: "home", Key: s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{s, &s, w, &w, []webhook.Secret{s}, map[string]webhook.Secret{"a": s}, struct{ S webhook.Secret }{s}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "hunter2") || strings.Contains(strings.ToLower(text), "68756e74657232") || strings.Contains(text, "104 117") {
				t.Errorf("%s of a %T: %s", verb, v, text)
			}
		}
	}
	b, err := json.Marshal([]any{s, w, map[string]any{"s": s}})
	if err != nil || strings.Contains(string(b), "hunter2") || strings.Contains(string(b), "aHVudGVyMg") {
		t.Errorf("%s, %v", b, err)
	}
}
