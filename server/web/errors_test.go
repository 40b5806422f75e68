package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Each row of the error table as the admin API has it, and what to do about a fault.
func TestErrorTable(t *testing.T) {
	type errorCase struct {
		err    error
		code   adminapi.Code
		status int
	}
	tests := []errorCase{
		{&webhook.Invalid{Field: "f", Value: "v", Allowed: "a"}, adminapi.CodeInvalid, 400},
		{fmt.Errorf("x: %w", webhook.ErrNotFound), adminapi.CodeNotFound, 404},
		{fmt.Errorf("x: %w", webhook.ErrExists), adminapi.CodeExists, 409},
		{fmt.Errorf("x: %w", webhook.ErrConflict), adminapi.CodeConflict, 409},
		{fmt.Errorf("x: %w", webhook.ErrChallenge), adminapi.CodeChallengeFailed, 424},
		{fmt.Errorf("x: %w", webhook.ErrNoSpace), adminapi.CodeNoSpace, 507},
		{fmt.Errorf("x: %w", webhook.ErrReadOnly), adminapi.CodeReadOnly, 507},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), adminapi.CodeUnavailable, 503},
		{fmt.Errorf("x: %w", context.Canceled), adminapi.CodeUnavailable, 503},
		{&vehicle.Fault{Type: vehicle.TypeUpstream, Status: 502}, adminapi.CodeSource, 502},
		{fmt.Errorf("connect: %w: %w", &vehicle.Fault{Type: vehicle.TypeServer, Status: 500}, webhook.ErrNoSpace), adminapi.CodeNoSpace, 507},
		{errors.New("secret detail of the inside"), adminapi.CodeInternal, 500},
	}
	for _, tt := range tests {
		if e := APIErrorOf(tt.err); e.Code != tt.code || e.Status != tt.status || strings.Contains(e.Error(), "secret detail") {
			t.Errorf("%v: %+v", tt.err, e)
		}
	}
	for _, r := range table {
		if !slices.ContainsFunc(tests, func(tt errorCase) bool { return tt.code == r.code }) {
			t.Errorf("row %s has no test", r.code)
		}
	}
	for resolution, says := range map[string]string{vehicle.ResolveRetryLater: "try again", vehicle.ResolveReauthenticate: "signs in again", "": ""} {
		if e := APIErrorOf(&vehicle.Fault{Type: vehicle.TypeUpstream, Status: 502, Resolution: resolution}); !strings.Contains(e.Hint, says) || (e.Hint == "") != (says == "") {
			t.Errorf("%s: %q", resolution, e.Hint)
		}
	}
}
