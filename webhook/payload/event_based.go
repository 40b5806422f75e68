package payload

// eventBased is the payload of the webhook that tells what happened: the event, and no
// data of the vehicle (docs/wire.md). Its eventId is the same wherever the event is told.
func eventBased(ev Event) Value {
	return object{
		{"eventId", String(ev.Happened.ID.String())},
		{"vehicleId", String(ev.Vehicle.String())},
		{"eventType", String(ev.Happened.Type)},
		{"eventTime", String(Timestamp(ev.Happened.At))},
	}
}
