package simulator

import (
	"fmt"
	"strings"

	"plugbeat/vehicle"
)

// rows is the error table of Smartcar v2.0 (docs/wire.md): status, type,
// resolution, and the codes that share them.
var rows = []struct {
	status     int
	kind       string
	resolution string
	codes      []string
}{
	{400, vehicle.TypeValidation, "", []string{"", "PARAMETER"}},
	{400, vehicle.TypeAccount, "", []string{"ACCOUNT_ISSUE", "NO_VEHICLES", "SUBSCRIPTION", "VEHICLE_MISSING"}},
	{400, vehicle.TypeAccount, vehicle.ResolveReauthenticate, []string{"AUTHENTICATION_FAILED", "PERMISSION"}},
	{400, vehicle.TypeAccount, vehicle.ResolveActionRequired, []string{"VIRTUAL_KEY_REQUIRED"}},
	{401, vehicle.TypeAuthentication, "", []string{""}},
	{403, vehicle.TypePermission, vehicle.ResolveReauthenticate, []string{""}},
	{404, vehicle.TypeNotFound, "", []string{"PATH", "VERSION"}},
	{409, vehicle.TypeVehicleState, "", []string{
		"ASLEEP", "CHARGING_IN_PROGRESS", "CHARGING_PLUG_CONNECTED", "CHARGING_PLUG_NOT_CONNECTED", "CHARGE_FAULT",
		"DOOR_OPEN", "FULLY_CHARGED", "HOOD_OPEN", "IGNITION_ON", "IN_MOTION", "NOT_CHARGING", "REMOTE_ACCESS_DISABLED",
		"TRUNK_OPEN", "UNREACHABLE", "VEHICLE_OFFLINE_FOR_SERVICE",
	}},
	{409, vehicle.TypeVehicleState, vehicle.ResolveRetryLater, []string{"UNKNOWN", "LOW_BATTERY"}},
	{429, vehicle.TypeRateLimit, vehicle.ResolveRetryLater, []string{"SMARTCAR_API", "VEHICLE"}},
	{430, vehicle.TypeBilling, vehicle.ResolveContactSupport, []string{"INVALID_PLAN", "VEHICLE_LIMIT", "VEHICLE_REQUEST_LIMIT"}},
	{430, vehicle.TypeBilling, vehicle.ResolveFinance, []string{"ACCOUNT_SUSPENDED"}},
	{500, vehicle.TypeServer, vehicle.ResolveRetryLater, []string{"INTERNAL"}},
	{500, vehicle.TypeServer, vehicle.ResolveContactSupport, []string{"RECORD_NOT_FOUND", "MULTIPLE_RECORDS_FOUND"}},
	{501, vehicle.TypeCompatibility, "", []string{"MAKE_NOT_COMPATIBLE", "SMARTCAR_NOT_CAPABLE", "VEHICLE_NOT_CAPABLE"}},
	{501, vehicle.TypeCompatibility, vehicle.ResolveReauthenticate, []string{"PLATFORM_NOT_CAPABLE"}},
	{502, vehicle.TypeUpstream, vehicle.ResolveRetryLater, []string{"INVALID_DATA", "KNOWN_ISSUE", "NO_RESPONSE", "RATE_LIMIT",
		"UNKNOWN_ISSUE"}},
}

// Rows returns every row of Smartcar v2.0's error table as a fault that [Server]
// and [Event] can answer with.
func Rows() []*vehicle.Fault {
	var all []*vehicle.Fault
	for _, r := range rows {
		for _, code := range r.codes {
			f := &vehicle.Fault{
				Type: r.kind, Code: code, Status: r.status, Resolution: r.resolution,
				Description: describe(r.kind, code),
			}
			switch {
			case code == "AUTHENTICATION_FAILED":
				f.ResolutionURL = "https://connect.smartcar.example/oauth/reauthenticate?response_type=vehicle_id"
				f.UserMessage = "Please sign in to your vehicle's account again."
			case code == "VIRTUAL_KEY_REQUIRED":
				f.ResolutionURL = "https://www.tesla.example/_ak/smartcar"
			case code == "MULTIPLE_RECORDS_FOUND":
				f.Detail = []byte(`[{"capacities":[60,75.5]}]`)
			case r.kind == vehicle.TypeValidation && code == "":
				f.Detail = []byte(`[{"field":["requests"],"message":"is not valid"}]`)
			}
			all = append(all, f)
		}
	}
	return all
}

// Row returns one row of the error table. For a type and code that the table lacks it returns
// SERVER:INTERNAL with both in the description.
func Row(kind, code string) *vehicle.Fault {
	for _, f := range Rows() {
		if f.Type == kind && f.Code == code {
			return f
		}
	}
	return &vehicle.Fault{
		Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500, Resolution: vehicle.ResolveRetryLater,
		Description: fmt.Sprintf("the simulator has no fault %s:%s", kind, code),
	}
}

// describe makes a sentence of a type and a code.
func describe(kind, code string) string {
	words := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", " ")) }
	if code == "" {
		return "Simulated " + words(kind) + " error."
	}
	return "Simulated " + words(kind) + " error: " + words(code) + "."
}
