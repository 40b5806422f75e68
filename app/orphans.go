package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	// orphanAge is how long the tokens of a connection that no vehicle has are kept: a connect
	// that was cut off is begun again long before.
	orphanAge = 30 * 24 * time.Hour
	// orphanMemory is the secret that has since when each of them is one.
	orphanMemory = "orphans"
)

// sweepOrphans erases the tokens of connections that no vehicle has had for [orphanAge]: a
// connect was cut off before it had vehicles. Of a source that is not configured all stay. now
// is believed.
func (f *fleet) sweepOrphans(ctx context.Context, now time.Time) error {
	done, err := f.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	orphans, err := f.orphans(ctx)
	if err != nil {
		return fmt.Errorf("look for tokens that no vehicle needs: %w", err)
	}
	known := map[string]time.Time{}
	b, err := f.store.Secrets.Secret(ctx, orphanMemory)
	if err == nil {
		err = json.Unmarshal(b, &known)
	}
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return fmt.Errorf("since when tokens are needed by no vehicle: %w", err)
	}
	since := map[string]time.Time{}
	for name, o := range orphans {
		at, ok := known[name]
		if !ok || at.After(now) {
			at = now.UTC()
		}
		if now.Sub(at) < orphanAge {
			since[name] = at
			continue
		}
		f.disconnects.Add(1) // who connects this account just now begins again
		if err := f.forgetTokens(ctx, o.source, o.connection); err != nil {
			return err
		}
		f.log.Info().Str("event", "source.tokens_erased").Str("source", o.source).Str("connection", o.connection).
			Msg("the tokens of a connection that no vehicle needs are erased")
	}
	if maps.EqualFunc(since, known, time.Time.Equal) {
		return nil
	}
	if b, err = json.Marshal(since); err != nil {
		return err
	}
	return f.store.Secrets.PutSecret(ctx, orphanMemory, b)
}

// orphan is a connection with tokens and without vehicles.
type orphan struct{ source, connection string }

// orphans lists them by the names of their secrets.
func (f *fleet) orphans(ctx context.Context) (map[string]orphan, error) {
	all := map[string]orphan{}
	for _, source := range slices.Sorted(maps.Keys(f.sources.byName)) {
		if _, ok := f.sources.byName[source].(vehicle.Connector); !ok {
			continue
		}
		prefix := tokens{f.store, source}.name("")
		names, err := f.store.Secrets.SecretNames(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			all[name] = orphan{source, strings.TrimPrefix(name, prefix)}
		}
	}
	for v, err := range vehicles(ctx, f.store) {
		if err != nil {
			return nil, err
		}
		for _, connection := range v.Connections() {
			delete(all, tokens{f.store, v.Source}.name(connection))
		}
	}
	return all, nil
}
