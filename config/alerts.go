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
	f := c.alertFile(name, "url_file", a.URLFile)
	s, err := f.word()
	if err == nil && !alertable(string(s)) {
		return nil, &webhook.Invalid{Field: f.setting, Value: a.URLFile, Why: "what is in it is not a URL",
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
	return c.alertFile(name, "token_file", a.TokenFile).word()
}

// alertFile is a secret of a target.
func (c Config) alertFile(name, key, file string) secretFile {
	return secretFile{dir: c.Dir, setting: join("alerts", name) + "." + key, file: file}
}
