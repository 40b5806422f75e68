package oauth

// The bounds of logins, guesses and exchanges.
const (
	LongestState     = longestState
	LongestParameter = longestParameter
	LoginLife        = loginLife
	ConnectLife      = connectLife
	GuessBurst       = guessBurst
	GuessEvery       = guessEvery
	AdoptBurst       = adoptBurst
)

// HashOfCode is what a one-time code is compared by.
func HashOfCode(typed string) [32]byte { return hashOfCode(typed) }
