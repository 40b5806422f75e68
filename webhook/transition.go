package webhook

// Transition is a change of a webhook's status or health that an operator sees.
type Transition string

// The transitions of a webhook; each is logged as the event "webhook." and its name.
const (
	TransitionVerified Transition = "verified" // a challenge was answered rightly, and it is active
	TransitionFailing  Transition = "failing"  // the ladder is the webhook's now
	TransitionRung     Transition = "rung"     // a trial failed, or a challenge brought the next one forward
	TransitionWarned   Transition = "warned"   // half or nine tenths of the ladder's time are gone
	TransitionHealthy  Transition = "healthy"  // the ladder ended with a success
	TransitionDisabled Transition = "disabled"
	TransitionHealed   Transition = "healed"  // it was exhausted and answers again
	TransitionEnabled  Transition = "enabled" // by the operator
)

// Transitions lists every transition.
var Transitions = [...]Transition{
	TransitionVerified, TransitionFailing, TransitionRung, TransitionWarned, TransitionHealthy, TransitionDisabled, TransitionHealed, TransitionEnabled,
}
