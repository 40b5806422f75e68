package webhook_test

import (
	"errors"
	"strings"
	"testing"

	"plugbeat/webhook"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "home+ev", "by hand", "Zoé's EV (2)", "a-b", "...", "7", strings.Repeat("é", 64)} {
		if err := webhook.CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for bad, why := range map[string]string{
		"":                                     "empty",
		strings.Repeat("a", 65):                "too long",
		strings.Repeat("a", 5000):              "too long",
		" a":                                   "space",
		"a ":                                   "space",
		"a\nb":                                 "do not print",
		"a\u00a0b":                             "do not print",
		"a\u202eb":                             "do not print",
		"a\xffb":                               "do not print",
		"--force":                              "option",
		"a/b":                                  "path",
		".":                                    "path",
		"..":                                   "path",
		"2b3a7c1e-8f0d-4f6e-9a55-3f1d2c4b5a69": "an id",
		"2b3a7c1e8f0d4f6e9a553f1d2c4b5a69":     "an id",
		"urn:uuid:2b3a7c1e-8f0d-4f6e-9a55-3f1d2c4b5a69": "an id",
	} {
		err := webhook.CheckName(bad)
		var invalid *webhook.Invalid
		if !errors.As(err, &invalid) || invalid.Field != "name" || !strings.Contains(invalid.Why, why) || invalid.Allowed == "" || len(invalid.Value) > 100 {
			t.Errorf("%.70q: %v, want %s", bad, err, why)
		}
	}
}

func TestCheckSigningAndType(t *testing.T) {
	for _, s := range []webhook.Signing{webhook.SignBoth, webhook.SignSmartcar, webhook.SignStandard} {
		if err := webhook.CheckSigning(s); err != nil {
			t.Error(err)
		}
	}
	for _, typ := range webhook.Types {
		if err := webhook.CheckType(typ); err != nil {
			t.Error(err)
		}
	}
	for field, err := range map[string]error{"signing": webhook.CheckSigning("none"), "type": webhook.CheckType("diagnostic")} {
		var invalid *webhook.Invalid
		if !errors.As(err, &invalid) || invalid.Field != field || invalid.Allowed == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	if webhook.CheckSigning("") == nil || webhook.CheckType("") == nil {
		t.Error("empty is the caller's to fill in")
	}
}
