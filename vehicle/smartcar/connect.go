package smartcar

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"plugbeat/vehicle"
)

// Bounds of what one account is believed to list.
const (
	maxVehicles    = 10_000
	maxPermissions = 1_000
	pageSize       = 50
)

// provisional begins the names of accounts whose user is not known yet.
const provisional = "connecting-"

// Connect redeems a refresh token and returns the account's vehicles with attributes
// and permissions. Their connection is named by the account's user id, and the tokens
// are saved under that name; the caller stores the vehicles and sets Source and
// ConnectedAt.
//
// The pair that the token is exchanged for is saved before it is used, under a
// name made from the token until all of that is known. So Connect may be called
// again with the same token after it failed or the process ended.
func (s *Source) Connect(ctx context.Context, refreshToken string) ([]vehicle.Vehicle, error) {
	refreshToken = strings.TrimSpace(refreshToken)
	if refreshToken == "" {
		return nil, errors.New("connect smartcar: the refresh token is empty")
	}
	sum := sha256.Sum256([]byte(refreshToken))
	first := provisional + hex.EncodeToString(sum[:8])
	if err := s.begin(ctx, first, refreshToken); err != nil {
		return nil, fmt.Errorf("connect smartcar: %w", err)
	}
	return s.arrive(ctx, first)
}

// arrive makes the account first the connection of its user, and lists its vehicles.
func (s *Source) arrive(ctx context.Context, first string) (vehicles []vehicle.Vehicle, err error) {
	var user struct {
		ID string `json:"id"`
	}
	if err := s.get(ctx, first, "/user", &user); err != nil {
		return nil, fmt.Errorf("connect smartcar: user: %w", err)
	}
	if user.ID == "" || strings.HasPrefix(user.ID, provisional) || len(user.ID) > 200 || clean(user.ID) != user.ID {
		return nil, fmt.Errorf("connect smartcar: the answer names no user")
	}
	// The list first: while it fails, the name made from the token stays, and with it the
	// way to try again with the same one.
	if vehicles, err = s.list(ctx, first); err != nil {
		return nil, fmt.Errorf("connect smartcar: %w; connect again with the same token", err)
	}
	for i := range vehicles {
		vehicles[i].Connection = user.ID
	}
	if err := s.adopt(ctx, first, user.ID); err != nil {
		return nil, fmt.Errorf("connect smartcar: %w", err)
	}
	return vehicles, nil
}

// begin makes the account first hold the refresh token, which its first use
// exchanges, unless an earlier call got that far.
func (s *Source) begin(ctx context.Context, first, refreshToken string) error {
	a := s.account(first)
	select {
	case a.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.lock }()
	if a.loaded {
		return nil
	}
	b, err := s.opts.Tokens.Load(ctx, first)
	if err != nil {
		return fmt.Errorf("load tokens: %w", err)
	}
	if len(b) == 0 {
		a.pair, a.loaded = tokens{Refresh: refreshToken}, true
	}
	return nil
}

// adopt moves the tokens of the account first to the connection of the user.
func (s *Source) adopt(ctx context.Context, first, user string) error {
	from, to := s.account(first), s.account(user)
	for _, a := range []*account{from, to} {
		select {
		case a.lock <- struct{}{}:
			defer func() { <-a.lock }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.write(ctx, user, from.pair); err != nil {
		return err
	}
	to.pair, to.loaded, to.unsaved, to.told, to.lost = from.pair, true, nil, false, false
	if err := s.opts.Tokens.Save(ctx, first, nil); err != nil {
		return fmt.Errorf("erase tokens: %w", err)
	}
	s.mu.Lock()
	delete(s.accounts, first)
	s.keepFresh() //nolint:contextcheck // it goes on without its caller
	s.mu.Unlock()
	return nil
}

// list returns the connection's vehicles.
func (s *Source) list(ctx context.Context, connection string) ([]vehicle.Vehicle, error) {
	ids, err := s.pages(ctx, connection, "/vehicles", "vehicles", maxVehicles)
	if err != nil {
		return nil, fmt.Errorf("vehicles: %w", err)
	}
	vehicles := make([]vehicle.Vehicle, 0, len(ids))
	troubled := 0
	for _, id := range ids {
		v := vehicle.Vehicle{ID: idOf(id), Native: id, Connection: connection, Mode: s.opts.Mode}
		if err := s.describe(ctx, connection, &v); err != nil {
			v.Trouble = vehicle.AsFault(err)
			if ctx.Err() != nil || v.Trouble.Type == vehicle.TypeAuthentication || v.Trouble.PausesSource() {
				return nil, fmt.Errorf("vehicle %s: %w", id, err)
			}
			troubled++
		}
		vehicles = append(vehicles, v)
	}
	// Where none can be described the vendor is in trouble, and not the vehicles.
	if troubled > 0 && troubled == len(vehicles) && vehicles[0].Trouble.Temporary() {
		return nil, fmt.Errorf("vehicle %s: %w", vehicles[0].Native, vehicles[0].Trouble)
	}
	return vehicles, nil
}

// describe asks for a vehicle's attributes and permissions.
func (s *Source) describe(ctx context.Context, connection string, v *vehicle.Vehicle) error {
	var attributes struct {
		Make  string          `json:"make"`
		Model string          `json:"model"`
		Year  json.RawMessage `json:"year"` // a number; a string in one place
	}
	base := "/vehicles/" + url.PathEscape(v.Native)
	failed := s.get(ctx, connection, base, &attributes)
	if f, ok := errors.AsType[*vehicle.Fault](failed); ok && f.Type == vehicle.TypePermission {
		failed = nil // not agreed to by the owner: the vehicle is read all the same
	}
	v.Make, v.Model = strings.ToUpper(clean(attributes.Make)), clean(attributes.Model)
	if y, err := strconv.Atoi(strings.Trim(string(attributes.Year), `"`)); err == nil && y > 1900 && y < 2200 {
		v.Year = y
	}
	permissions, err := s.pages(ctx, connection, base+"/permissions", "permissions", maxPermissions)
	if err != nil {
		err = fmt.Errorf("permissions: %w", err)
	}
	v.Permissions = permissions
	return cmp.Or(failed, err)
}

// pages reads a paged list of strings to its end, each once.
func (s *Source) pages(ctx context.Context, connection, path, member string, most int) ([]string, error) {
	var all []string
	seen := map[string]bool{}
	for offset := 0; offset < most; {
		var body map[string]json.RawMessage
		if err := s.get(ctx, connection, fmt.Sprintf("%s?limit=%d&offset=%d", path, pageSize, offset), &body); err != nil {
			return nil, err
		}
		var page []json.RawMessage
		if err := json.Unmarshal(body[member], &page); err != nil || body[member] == nil {
			return nil, vehicle.InvalidData(fmt.Sprintf("Smartcar answered %s without a list of %s", path, member))
		}
		var paging struct {
			Count int `json:"count"`
		}
		if raw := body["paging"]; raw != nil {
			if err := json.Unmarshal(raw, &paging); err != nil {
				return nil, vehicle.InvalidData(fmt.Sprintf("Smartcar answered %s with paging that is not valid", path))
			}
		}
		for _, item := range page {
			var one string
			if json.Unmarshal(item, &one) != nil || one == "" || len(one) > 200 {
				s.opts.Log.Warn().Str("event", "source.item_refused").Str("connection", connection).Str("text", clean(string(item[:min(len(item), 100)]))).
					Msg("an item of a list at the vendor is not valid, the others are taken")
				continue
			}
			if !seen[one] {
				seen[one] = true
				all = append(all, one)
			}
		}
		offset += len(page)
		if len(page) == 0 || offset >= paging.Count {
			return all, nil
		}
	}
	return all, nil
}

// Disconnect ends the application's access to a vehicle at Smartcar, of each account that
// reaches it. The caller erases what it keeps of it, and with the last vehicle of a
// connection its tokens ([Source.Forget]).
func (s *Source) Disconnect(ctx context.Context, v vehicle.Vehicle) error {
	var errs []error
	for _, connection := range v.Connections() {
		ans, err := s.call(ctx, connection, request{client: s.once, method: http.MethodDelete, path: vehiclePath(v.Ref(), "/application")})
		if err == nil && !ans.ok() {
			err = ans.fault()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("disconnect vehicle %s: %w", v.ID, s.complete(v.Ref(), err)))
		}
	}
	return errors.Join(errs...)
}

// get reads one JSON object of the API into v.
func (s *Source) get(ctx context.Context, connection, path string, v any) error {
	ans, err := s.call(ctx, connection, request{client: s.keep, method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	if !ans.ok() {
		return ans.fault()
	}
	if _, err := parseObject(ans.body); err != nil {
		return vehicle.InvalidData("Smartcar answered " + err.Error())
	}
	if err := json.Unmarshal(ans.body, v); err != nil {
		return vehicle.InvalidData("Smartcar answered JSON of another shape than expected")
	}
	return nil
}
