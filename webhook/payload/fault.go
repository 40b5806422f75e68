package payload

import (
	"plugbeat/vehicle"
)

// ErrorObject is Smartcar v2.0's error object for the fault, with every key that
// some SDK insists on: type, code (null where there is none), description, docURL,
// statusCode, requestId and resolution with its type (null where there is none).
// resolution.url, suggestedUserMessage and detail appear only where they are set; a
// detail that is not an array of printable JSON is left out. requestID is used
// where the fault has none of its own.
func ErrorObject(f *vehicle.Fault, requestID string) Value {
	if f.RequestID != "" {
		requestID = f.RequestID
	}
	resolution := object{{"type", StringOrNull(f.Resolution)}}
	if f.ResolutionURL != "" {
		resolution = append(resolution, Member{"url", String(f.ResolutionURL)})
	}
	members := object{
		{"type", String(f.Type)},
		{"code", StringOrNull(f.Code)},
		{"description", String(f.Description)},
		{"docURL", String(f.Doc())},
		{"statusCode", Int(statusOf(f))},
		{"requestId", String(requestID)},
		{"resolution", resolution},
	}
	if f.UserMessage != "" {
		members = append(members, Member{"suggestedUserMessage", String(f.UserMessage)})
	}
	if detail, ok := detailOf(f); ok {
		members = append(members, Member{"detail", detail})
	}
	return members
}

func detailOf(f *vehicle.Fault) (Value, bool) {
	if len(f.Detail) == 0 {
		return nil, false
	}
	v, err := Parse(f.Detail)
	if err != nil {
		return nil, false
	}
	if _, ok := v.(array); !ok {
		return nil, false
	}
	if _, err := Append(nil, v); err != nil {
		return nil, false
	}
	return v, true
}

// statusOf is the fault's status; a fault without a plausible one is ours, 500.
func statusOf(f *vehicle.Fault) int {
	if f.Status < 400 || f.Status > 599 {
		return 500
	}
	return f.Status
}
