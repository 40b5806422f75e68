package webhook

// Transition is a change of a webhook's status or circuit breaker that an operator
// sees.
type Transition string

// The transitions of a webhook; each is logged as the event "webhook." and its name.
const (
	TransitionVerified    Transition = "verified"     // a challenge was answered rightly, and it is active
	TransitionOpened      Transition = "opened"       // the circuit breaker opened: the receiver fails
	TransitionProbeFailed Transition = "probe_failed" // a step of the retry schedule is spent
	TransitionClosed      Transition = "closed"       // the circuit breaker closed: a delivery arrived
	TransitionDisabled    Transition = "disabled"
	TransitionHealed      Transition = "healed"  // it was exhausted and a probe arrived
	TransitionEnabled     Transition = "enabled" // by the operator
)

// Transitions lists every transition.
var Transitions = [...]Transition{
	TransitionVerified, TransitionOpened, TransitionProbeFailed, TransitionClosed, TransitionDisabled, TransitionHealed, TransitionEnabled,
}
