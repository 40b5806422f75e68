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
	if err := s.accounts.begin(ctx, first, refreshToken); err != nil {
		return nil, fmt.Errorf("connect smartcar: %w", err)
	}
	return s.arrive(ctx, first)
}

// arrive makes the account first the connection of its user, and lists its vehicles.
func (s *Source) arrive(ctx context.Context, first string) (vehicles []vehicle.Vehicle, err error) {
	var user struct {
		ID string `json:"id"`
	}
	if err := s.api.get(ctx, first, "/user", &user); err != nil {
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
	if err := s.accounts.adopt(ctx, first, user.ID); err != nil {
		return nil, fmt.Errorf("connect smartcar: %w", err)
	}
	return vehicles, nil
}

// list returns the connection's vehicles.
func (s *Source) list(ctx context.Context, connection string) ([]vehicle.Vehicle, error) {
	ids, err := s.api.pages(ctx, connection, "/vehicles", "vehicles", maxVehicles)
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
	failed := s.api.get(ctx, connection, base, &attributes)
	if f, ok := errors.AsType[*vehicle.Fault](failed); ok && f.Type == vehicle.TypePermission {
		failed = nil // not agreed to by the owner: the vehicle is read all the same
	}
	v.Make, v.Model = strings.ToUpper(clean(attributes.Make)), clean(attributes.Model)
	if y, err := strconv.Atoi(strings.Trim(string(attributes.Year), `"`)); err == nil && y > 1900 && y < 2200 {
		v.Year = y
	}
	permissions, err := s.api.pages(ctx, connection, base+"/permissions", "permissions", maxPermissions)
	if err != nil {
		err = fmt.Errorf("permissions: %w", err)
	}
	v.Permissions = permissions
	return cmp.Or(failed, err)
}

// Disconnect ends the application's access to a vehicle at Smartcar, of each account that
// reaches it. The caller erases what it keeps of it, and with the last vehicle of a
// connection its tokens ([Source.Forget]).
func (s *Source) Disconnect(ctx context.Context, v vehicle.Vehicle) error {
	var errs []error
	for _, connection := range v.Connections() {
		ans, err := s.api.call(ctx, connection, request{client: s.api.once, method: http.MethodDelete,
			path: vehiclePath(v.Ref(), "/application")})
		if err == nil && !ans.ok() {
			err = ans.fault()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("disconnect vehicle %s: %w", v.ID, s.complete(v.Ref(), err)))
		}
	}
	return errors.Join(errs...)
}
