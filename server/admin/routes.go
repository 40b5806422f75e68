package admin

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"plugbeat/adminapi"
	"plugbeat/server/web"
)

// route is one line of the table of /api/v1.
type route struct {
	pattern string
	need    web.Need
	handler handler
	// query are the parameters that it knows; others are refused.
	query []string
}

// routes is the table of /api/v1, held to openapi.yaml by tests. In {webhook} stands an id
// or a name, in {vehicle} the beginning of an id as well.
func routes(o *Options) []route {
	const (
		anyone  = web.ByAnyone
		read    = web.ToRead
		operate = web.ToOperate
		socket  = web.BySocket
	)
	find := lookup{o.Store}
	costs := costs{o.Upkeep, o.Policy, o.Store}
	views := views{lookup: find, policy: o.Policy, retries: o.Retries, recover: o.Recover}
	management := management{o}
	overview := overview{Options: o, views: views, costs: costs, management: management}
	file := &dataFile{Options: o}
	events := events{find, o}
	sources := &sources{overview: overview}
	webhooks := webhooks{views: views, costs: costs, deliveries: o.Deliveries, scheduler: o.Scheduler, signing: o.Signing}
	keys := keys{o.Deliveries}
	vehicles := vehicles{views: views, Options: o}
	connects := connects{o.Connects, o.Ending, o.Replies.Now}
	subscriptions := subscriptions{views: views, costs: costs, scheduler: o.Scheduler, now: o.Replies.Now}
	deliveries := deliveries{views: views, deliveries: o.Deliveries, now: o.Replies.Now}
	tokens := tokens{lookup: find, Options: o}
	on := webhooks.on

	after := []string{"after", "limit"}
	return []route{
		{"GET /api/v1/openapi.yaml", anyone, document, nil},
		{"GET /api/v1/version", read, func(*http.Request) (any, error) { return o.Version, nil }, nil},
		{"GET /api/v1/status", read, overview.status, nil},
		{"POST /api/v1/check", operate, file.check, nil},
		{"POST /api/v1/backup", operate, file.backup, nil},
		{"POST /api/v1/alerts/test", operate, with(overview.testAlerts), nil},

		{"GET /api/v1/events", read, events.follow, []string{"webhook", "vehicle"}},

		{"GET /api/v1/sources", read, sources.list, nil},
		{"GET /api/v1/sources/{name}", read, sources.show, nil},
		{"GET /api/v1/sources/{name}/messages", read, sources.follow, nil},
		{"POST /api/v1/sources/{name}/discover", operate, sources.discover, []string{"listen"}},

		{"GET /api/v1/webhooks", read, webhooks.list, after},
		{"POST /api/v1/webhooks", operate, webhooks.add, nil},
		{"GET /api/v1/webhooks/{webhook}", read, on(webhooks.show), nil},
		{"PATCH /api/v1/webhooks/{webhook}", operate, on(webhooks.change), nil},
		{"DELETE /api/v1/webhooks/{webhook}", operate, on(webhooks.remove), nil},
		{"POST /api/v1/webhooks/{webhook}/verify", operate, on(webhooks.verify), nil},
		{"POST /api/v1/webhooks/{webhook}/test", operate, on(webhooks.test), nil},
		{"POST /api/v1/webhooks/{webhook}/key", socket, on(keys.change), nil},
		{"POST /api/v1/webhooks/{webhook}/enable", operate, on(webhooks.enable), []string{"force", "recover"}},
		{"POST /api/v1/webhooks/{webhook}/disable", operate, on(webhooks.disable), nil},
		{"POST /api/v1/webhooks/{webhook}/recover", operate, on(webhooks.backlog), nil},

		{"GET /api/v1/vehicles", read, vehicles.list, after},
		{"POST /api/v1/vehicles/connect", operate, with(vehicles.connect), nil},
		{"GET /api/v1/vehicles/{vehicle}", read, vehicles.show, nil},
		{"PATCH /api/v1/vehicles/{vehicle}", operate, with(vehicles.rename), nil},
		{"DELETE /api/v1/vehicles/{vehicle}", operate, vehicles.disconnect, nil},
		{"GET /api/v1/vehicles/{vehicle}/history", read, vehicles.history, []string{"since", "until", "resolution", "after", "limit"}},
		{"POST /api/v1/vehicles/{vehicle}/read", operate, vehicles.read, []string{"paths", "ignore_retry_after"}},

		{"POST /api/v1/connects", socket, with(connects.begin), nil},
		{"GET /api/v1/connects/{connect}", socket, connects.show, []string{"wait"}},
		{"DELETE /api/v1/connects/{connect}", socket, connects.end, nil},

		{"GET /api/v1/cost", read, costs.ask, []string{"type", "every", "unplugged", "plugged_in", "zone", "fastest", "paths"}},

		{"GET /api/v1/subscriptions", read, subscriptions.list, []string{"webhook", "vehicle", "after", "limit"}},
		{"POST /api/v1/subscriptions", operate, with(subscriptions.add), nil},
		{"DELETE /api/v1/subscriptions/{webhook}/{vehicle}", operate, on(subscriptions.remove), nil},

		{"GET /api/v1/deliveries", read, deliveries.list, []string{"webhook", "vehicle", "state", "since", "until", "before", "limit"}},
		{"GET /api/v1/deliveries/{delivery}", read, deliveries.show, nil},
		{"POST /api/v1/deliveries/resend", operate, with(deliveries.resendAll), nil},
		{"POST /api/v1/deliveries/{delivery}/resend", operate, deliveries.resend, nil},

		{"GET /api/v1/management-token", read, management.show, nil},
		{"POST /api/v1/management-token/try", operate, management.try, nil},

		{"GET /api/v1/tokens", read, tokens.list, after},
		{"POST /api/v1/tokens", socket, with(tokens.add), nil},
		{"DELETE /api/v1/tokens/{name}", operate, tokens.remove, nil},
	}
}

// with reads the request's body for a handler.
func with[T any](h func(*http.Request, T) (any, error)) handler {
	return func(r *http.Request) (any, error) {
		var body T
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		return h(r, body)
	}
}

// checkQuery refuses query parameters that a route does not know: a misspelt filter
// would select everything. It does not repeat their values, one of which may be a
// token.
func checkQuery(r *http.Request, known []string) error {
	allowed := "none"
	if len(known) > 0 {
		allowed = strings.Join(known, ", ")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &adminapi.Error{Code: adminapi.CodeInvalid, Message: "the query of the URL is not one: percent-encode what is in it",
			Field: "query", Allowed: allowed}
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if slices.Contains(known, name) {
			continue
		}
		e := &adminapi.Error{Code: adminapi.CodeInvalid, Message: web.RouteName(r) + " has no query parameter " + web.Quote(name),
			Field: web.Clip(name), Allowed: allowed}
		if web.TokenLike(name) {
			e.Hint = "a token is never read from the URL, which is kept in logs: revoke it, and send the new one in the header Authorization"
		}
		return e
	}
	return nil
}
