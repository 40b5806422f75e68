package vehicle

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/rs/zerolog"
)

// Kind is a kind of source, as the type of a config's section names it.
type Kind struct {
	// Name is the type, as "smartcar".
	Name string
	// Doc says what a source of the kind is: "smartcar reads real vehicles through ...".
	Doc string
	// Example is the name of a source of the kind in the reference of the config.
	Example string
	// Starts are the ways to begin with a source of the kind.
	Starts []Start
	// Presets are maps that vehicles of the kind may name.
	Presets []Preset
	// Reference documents every setting, as the comments of config/reference.yaml do: YAML
	// with the defaults as values. Above each key stand sentences that say what the setting
	// does, then "Allowed:" with a phrase. Where the phrase has one of these forms, the
	// config holds values to it:
	//
	//	a whole number, 1 to 100	a whole number, 0 or more	a duration, 1ms to 24h	live, simulated, test
	Reference string
	// Settings returns settings that hold the defaults.
	Settings func() Settings
}

// Preset is a map of vehicles that is written already.
type Preset struct {
	Name, Doc string
	// Map is the preset as it may be copied into a config: YAML of the level of vehicles, with
	// comments that say what may be put into it.
	Map string
}

// Start is a way to begin with a source: init --source NAME asks its questions and writes its
// section.
type Start struct {
	// Name is the kind's, or a preset's, and Doc says what is read: "evcc's vehicles, by ...".
	Name, Doc string
	// Source is what the source is called unless the operator says otherwise.
	Source    string
	Questions []Question
	// Section is the source's settings as YAML. {KEY} stands for the answer to a question, and
	// {name} for what the source is called; a line with an answer that was not given is left out.
	Section string
	// First are the commands that come next, before the daemon is started, and Then those
	// once it runs. {name} is what the source is called.
	First, Then []string
}

// Question is what a [Start] has to know.
type Question struct {
	// Key names the answer. That of a setting whose key has a credential tag is the name of a
	// file with the secret, which init copies to where the daemon finds it.
	Key string
	// Ask is the question, as a phrase: "the broker, as mqtt://192.168.1.10".
	Ask string
	// Default is the answer where none is given; a question without one has to be answered,
	// unless it is Optional.
	Default  string
	Optional bool
}

// Settings are the config's section of one source: a pointer to a struct whose fields
// are string, bool, int, uint64, [time.Duration], []string, or structs of those. What a
// setting does and takes stands in the kind's reference; the tags of a field say the rest:
//
//	yaml        the key
//	path        "yes": a file or folder; it is made absolute
//	credential  a file with a secret, named so where the setting is empty: the value is
//	            the end of its name in the folder of secrets, after the source's name
//	optional    "yes": no such secret is needed while the setting is empty
//	secret      "yes": the value is not shown
//	required    "yes": there is no default; it is only said, Check has to hold it
//	example     what stands in the reference in place of a default
//
// Beside the kind's own keys a section has type and max_reads.
type Settings interface {
	// Check returns what is wrong beyond the bounds in the reference. It looks at no file and
	// makes no request.
	Check() []Complaint
	// Open returns the source. It makes no request and waits for nothing: what cannot be
	// reached is a fault of Read. An error is about a setting or a secret, and stops the
	// start.
	Open(ctx context.Context, d Deps) (Source, error)
}

// Endpoints are settings of a source that makes requests.
type Endpoints interface {
	Settings
	// Endpoints lists the far ends, for doctor to look at.
	Endpoints() []Endpoint
}

// Endpoint is a far end of a source.
type Endpoint struct {
	// Setting is the key that sets it, and URL its value. The scheme of one that speaks no
	// HTTP is that of its protocol, and the URL has a port.
	Setting, URL string
	// Own is true where the far end is in the owner's own network: a name, too, may then
	// lead to a private address.
	Own bool
}

// Complaint is one setting that is wrong, or unwise.
type Complaint struct {
	// Setting is the key, dotted below a heading: "budget.calls".
	Setting string
	Value   string
	// Why may be empty where Allowed says it all.
	Why, Allowed string
	// Warning is true where the daemon starts all the same. Allowed is the advice then.
	Warning bool
}

// Deps are what a source is opened with.
type Deps struct {
	// Name is the source's name in the config.
	Name string
	// Log has the name in it.
	Log zerolog.Logger
	// Client returns a client for requests to the endpoints, without a timeout. Every
	// address it dials passes plugbeat's dial check; a private one is reached only where
	// an endpoint names it.
	Client func(endpoints ...Endpoint) *http.Client
	// Dial connects to an endpoint that speaks no HTTP, past the same check. It tries for
	// as long as ctx allows.
	Dial func(ctx context.Context, e Endpoint) (net.Conn, error)
	// Secret returns the secret of the setting whose key has a credential tag. The error
	// names the setting.
	Secret func(setting string) (string, error)
	// Tokens keeps what the source itself has to remember in secret.
	Tokens TokenStore
	// Known returns the source's vehicles with what is stored of them: a Pusher takes its
	// memory from there, so that a replay that says nothing new keeps its times.
	Known func(ctx context.Context) ([]Known, error)
	// CallbackURL is where a vendor sends owners back to, and ReconnectURL where an owner
	// gives access again. They are empty where the config does not say how browsers reach
	// plugbeat.
	CallbackURL, ReconnectURL string
}

// Known is a vehicle with what is known of it.
type Known struct {
	Vehicle Vehicle
	Status  Status
}

// TokenStore keeps the tokens of each connection, sealed and durable.
type TokenStore interface {
	// Load returns what was last saved for the account; nothing, without an
	// error, when it has none.
	Load(ctx context.Context, account string) ([]byte, error)
	// Save keeps b for the account and returns once it is durable. Saving
	// nothing erases what was kept.
	Save(ctx context.Context, account string, b []byte) error
}

// The periods of a budget.
const (
	PerDay   = "day"
	PerMonth = "month"
)

// Budget is what each vehicle of a source may cost; a section of settings.
type Budget struct {
	Calls int    `yaml:"calls"`
	Per   string `yaml:"per"`
}

// BudgetReference documents the settings of a [Budget], as a part of a kind's reference.
//
//go:embed budget.yaml
var BudgetReference string

// Check returns what is wrong with the budget under the key budget.
func (b Budget) Check() []Complaint {
	if b.Calls > 0 && b.Calls < 3 {
		return []Complaint{{Setting: "budget.calls", Value: fmt.Sprint(b.Calls), Why: "a read of a vehicle is three calls",
			Allowed: "0 for no limit, or 3 to 1000000000"}}
	}
	return nil
}

// CheckURL returns nil when the text is an absolute http or https URL without user name,
// password and fragment, else the complaint about the setting.
func CheckURL(setting, text, allowed string) *Complaint {
	u, err := url.Parse(text)
	why := ""
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		why = "it is not absolute"
	case u.User != nil:
		why = "it carries a user name or password"
	case u.Fragment != "":
		why = "it has a fragment"
	case !GoodPort(u):
		why = "its port is not from 1 to 65535"
	default:
		return nil
	}
	return &Complaint{Setting: setting, Value: text, Why: why, Allowed: allowed}
}

// GoodPort reports whether a URL has no port, or one from 1 to 65535.
func GoodPort(u *url.URL) bool {
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && n > 0
}
