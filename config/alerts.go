package config

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"plugbeat/health"
	"plugbeat/webhook"
)

var alertName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

const alertURL = "an absolute http or https URL without user name and fragment"

func checkAlert(p *complaints, name string, a Alert) {
	at := join("alerts", name)
	if !alertName.MatchString(name) {
		p.add(at, name, "it is no name for an alert", "1 to 32 characters of a-z, 0-9 and '-'")
	}
	switch {
	case a.URL != "" && a.URLFile != "":
		p.add(join(at, "url_file"), a.URLFile, "url is set as well", "one of the two")
	case a.URL == "" && a.URLFile == "":
		p.add(join(at, "url"), "", "neither it nor url_file is set", "one of the two")
	case a.URL != "" && !alertable(a.URL):
		p.add(join(at, "url"), "[hidden]", "it is not one", alertURL)
	}
	var codes []string
	for _, c := range health.Codes() {
		codes = append(codes, string(c))
	}
	slices.Sort(codes)
	for i, e := range a.Events {
		if !slices.Contains(codes, e) {
			p.add(join(at, "events["+strconv.Itoa(i)+"]"), e, "there is no such condition", strings.Join(codes, ", "))
		}
	}
}

func alertable(u string) bool {
	p := newComplaints()
	return checkURL(p, "url", u, alertURL)
}

// AlertNames returns the names of the targets of alerts, sorted.
func (c Config) AlertNames() []string { return slices.Sorted(maps.Keys(c.Alerts)) }

// AlertURL returns the URL of a target, which is a secret; it may lie in a file.
func (c Config) AlertURL(name string) (webhook.Secret, error) {
	a := c.Alerts[name]
	if a.URLFile == "" {
		return webhook.Secret(a.URL), nil
	}
	setting := join("alerts", name) + ".url_file"
	s, err := c.line(setting, a.URLFile)
	if err == nil && !alertable(string(s)) {
		return nil, &webhook.Invalid{Field: setting, Value: a.URLFile, Why: "what is in it is not a URL",
			Allowed: "a file with one line: " + alertURL}
	}
	return s, err
}

// AlertToken returns the token of a target; nil when it has none.
func (c Config) AlertToken(name string) (webhook.Secret, error) {
	a := c.Alerts[name]
	if a.TokenFile == "" {
		return nil, nil
	}
	return c.line(join("alerts", name)+".token_file", a.TokenFile)
}

// line reads a file of one line that is a secret.
func (c Config) line(setting, file string) (webhook.Secret, error) {
	path, b, err := c.read(setting, file, "", "write it into a file of mode 0600 and name it here")
	if err != nil {
		return nil, err
	}
	text := SecretText(b)
	if text == "" || strings.ContainsFunc(text, notToken) {
		return nil, &webhook.Invalid{Field: setting, Value: path, Why: "it is empty, or has spaces, line breaks or characters outside ASCII",
			Allowed: "one line of printable ASCII"}
	}
	return webhook.Secret(text), nil
}
