package payload

// eventBased is the payload of the webhook that tells what happened: the event, and no
// data of the vehicle (docs/wire.md). Its eventId is the same wherever the event is told.
func eventBased(ev Event) Value {
	return Object(
		Member{"eventId", String(ev.Happened.ID.String())},
		Member{"vehicleId", String(ev.Vehicle.String())},
		Member{"eventType", String(string(ev.Happened.Type))},
		Member{"eventTime", String(Timestamp(ev.Happened.At))},
	)
}
