package config

import (
	"errors"
	"strings"
	"testing"
)

// answers to the questions of every way to begin.
var answers = map[string]string{
	"vehicles": "2", "hour": "1m", "client_id": "an id: #1", "client_secret_file": "/tmp/secret", "broker": "mqtt://192.168.1.10",
	"username": "true", "password_file": "/tmp/password", "url": "http://192.168.1.10:7070", "vehicle": "zoe", "make": "RENAULT",
}

// TestStarts: every way to begin gives a section that is valid, with the least and with all
// answers, and each answer is held to the setting that it goes into.
func TestStarts(t *testing.T) {
	names, sources := map[string]bool{}, map[string]bool{}
	for _, s := range Starts() {
		t.Run(s.Name, func(t *testing.T) {
			if names[s.Name] || sources[s.Source] || s.Doc == "" {
				t.Errorf("%+v: want a name and a source's name that no other has, and a doc", s.Start)
			}
			names[s.Name], sources[s.Source] = true, true
			for _, least := range []bool{true, false} {
				b := Begun{Start: s, Name: "my-source", Answers: map[string]string{}}
				for _, q := range s.Questions {
					if answers[q.Key] == "" || q.Ask == "" {
						t.Fatalf("%+v: this test has no answer, or it has no text", q)
					}
					if !least || !q.Optional && q.Default == "" {
						b.Answers[q.Key] = answers[q.Key]
					} else {
						b.Answers[q.Key] = q.Default
					}
					if err := b.Check(q.Key); err != nil {
						t.Errorf("%s: %v", q.Key, err)
					}
				}
				for _, system := range []bool{false, true} {
					section := b.Section(system)
					cfg, err := Parse([]byte("sources:\n"+section), "/d")
					if err != nil || len(cfg.Sources) != 1 || cfg.Sources["my-source"].Settings == nil {
						t.Errorf("%v in\n%s", err, section)
					}
					for f := range cfg.sourceSecrets("my-source") {
						if named := strings.Contains(section, "secrets/"+sourceCredential("my-source", f.what)); named != (!system && b.Answers[f.key] != "") {
							t.Errorf("the file of %s is named %v in\n%s", f.key, named, section)
						}
					}
				}
			}
			for _, q := range s.Questions {
				b := Begun{Start: s, Name: "x", Answers: map[string]string{q.Key: ""}}
				if err := b.Check(q.Key); (err == nil) != q.Optional {
					t.Errorf("%s, unanswered: %v", q.Key, err)
				}
			}
		})
	}
	for key, c := range map[string]struct{ start, answer, want string }{
		"broker":   {"mqtt", "http://b", "mqtt://HOST:PORT"},
		"url":      {"evcc", "192.168.1.10", "it is not absolute"},
		"vehicle":  {"intake", "my car", "without blanks"},
		"vehicles": {"simulator", "many", "a whole number"},
		"hour":     {"simulator", "1", "a duration"},
	} {
		s, _ := FindStart(c.start)
		b := Begun{Start: s, Name: "x", Answers: map[string]string{key: c.answer}}
		if err := b.Check(key); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.answer) {
			t.Errorf("%s %q: %v, want %q", key, c.answer, err, c.want)
		}
	}
}

// TestInsert: a section goes into a config that is there, and all else stays as it was.
func TestInsert(t *testing.T) {
	section := simulated().Section(false)
	for name, c := range map[string]struct{ before, after string }{
		"the only section":  {"grace: 30s\nsources:\n  a:\n    type: simulator\ncadence: {}\n", "grace: 30s\nsources:\n" + section + "  a:\n    type: simulator\ncadence: {}\n"},
		"with a comment":    {"sources: # mine\n  a: {type: simulator}\n", "sources: # mine\n" + section + "  a: {type: simulator}\n"},
		"no sources":        {"sources: {}\ngrace: 30s\n", "sources:\n" + section + "grace: 30s\n"},
		"no heading":        {"grace: 30s", "grace: 30s\n\nsources:\n" + section},
		"another indent":    {"sources:\n    a: {type: simulator}\n", ""},
		"in one line":       {"sources: {a: {type: simulator}}\n", ""},
		"one of that name":  {"sources:\n  fleet: {type: simulator, seed: 7}\n", ""},
		"not at the margin": {"# sources:\n#   a:\ngrace: 30s\n", "# sources:\n#   a:\ngrace: 30s\n\nsources:\n" + section},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Insert([]byte(c.before), "/d", section)
			if string(got) != c.after || (c.after == "") != errors.Is(err, ErrNoPlace) {
				t.Errorf("%v:\n%s\nwant\n%s", err, got, c.after)
			}
		})
	}
}
