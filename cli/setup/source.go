package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
)

// beginning is a source that init writes, with its secrets by the files that they belong in,
// below the folder of the config.
type beginning struct {
	config.Begun
	secrets map[string][]byte
}

// beginning takes the source that the flags name, the first of all without them, and the
// answers to its questions: from --set, on a terminal from whoever sits there, else the
// defaults. Nothing is written.
func (s commands) beginning(c *ucli.Context) (*beginning, error) {
	start := config.Starts()[0]
	if name := c.String("source"); name != "" {
		var ok bool
		if start, ok = config.FindStart(name); !ok {
			return nil, &terminal.UsageError{Text: fmt.Sprintf("there is no %q to begin with", name), Hint: startsHint()}
		}
	} else if c.IsSet("set") || c.IsSet("source") {
		return nil, &terminal.UsageError{Text: "--set goes with --source NAME", Hint: startsHint()}
	}
	b := begin(start)
	if err := b.take(c.StringSlice("set")); err != nil {
		return b, err
	}
	if s.InTTY && !c.Bool("json") && c.IsSet("source") {
		if err := b.ask(c.Context, s.Prompter()); err != nil {
			return b, err
		}
	}
	return b, b.fill()
}

// begin is the source without answers.
func begin(start config.Start) *beginning {
	return &beginning{config.Begun{Start: start, Name: start.Source, Answers: map[string]string{}}, map[string][]byte{}}
}

// fill takes the defaults where no answer was given, and checks each answer and all together.
func (b *beginning) fill() error {
	for _, q := range b.Questions {
		if _, given := b.Answers[q.Key]; !given {
			b.Answers[q.Key] = q.Default
		}
		if err := b.check(q.Key); err != nil {
			return &terminal.UsageError{Text: err.Error(), Hint: b.usage()}
		}
	}
	if err := b.CheckAll(); err != nil {
		return &terminal.UsageError{Text: err.Error(), Hint: b.usage()}
	}
	return nil
}

// take takes the answers that were given as KEY=VALUE.
func (b *beginning) take(answers []string) error {
	keys := map[string]bool{"name": true}
	for _, q := range b.Questions {
		keys[q.Key] = true
	}
	for _, given := range answers {
		key, value, ok := strings.Cut(given, "=")
		if !ok || !keys[key] {
			return &terminal.UsageError{Text: fmt.Sprintf("--set %q: %s has no such answer", given, b.Start.Name), Hint: b.usage()}
		}
		if key == "name" {
			b.Name = value
		} else {
			b.Answers[key] = value
		}
	}
	if err := b.CheckName(); err != nil {
		return &terminal.UsageError{Text: err.Error(), Hint: b.usage()}
	}
	return nil
}

// ask asks for what was not given, and checks each answer when it is given.
func (b *beginning) ask(ctx context.Context, p *terminal.Prompter) error {
	for _, q := range b.Questions {
		if _, given := b.Answers[q.Key]; given {
			if err := b.check(q.Key); err != nil {
				return &terminal.UsageError{Text: err.Error(), Hint: b.usage()}
			}
			continue
		}
		question := q.Ask
		if q.Optional {
			question += " (nothing for none)"
		}
		_, err := p.Ask(ctx, question, q.Default, func(answer string) error {
			b.Answers[q.Key] = answer
			return b.check(q.Key)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// check checks an answer, and reads the secret that it names the file of.
func (b *beginning) check(key string) error {
	if err := b.Check(key); err != nil {
		return err
	}
	file, answer := b.SecretFile(key), b.Answers[key]
	if file == "" || answer == "" {
		return nil
	}
	if _, read := b.secrets[file]; read {
		return nil // a pipe is read once
	}
	secret, err := os.ReadFile(answer)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s %q: there is no such file", key, answer)
	case err != nil:
		return fmt.Errorf("%s %q: it cannot be read: %w", key, answer, err)
	case strings.TrimSpace(string(secret)) == "":
		return fmt.Errorf("%s %q: the file is empty", key, answer)
	}
	b.secrets[file] = secret
	return nil
}

// usage is a line that can be typed, with every answer that there is.
func (b *beginning) usage() string {
	var line strings.Builder
	line.WriteString("plugbeat init --dir FOLDER --source " + b.Start.Name)
	for _, q := range b.Questions {
		given := " --set " + q.Key + "=" + strings.ToUpper(q.Key)
		if q.Optional || q.Default != "" {
			given = " [" + given[1:] + "]"
		}
		line.WriteString(given)
	}
	line.WriteString(" [--set name=NAME]")
	for _, q := range b.Questions {
		line.WriteString("\n" + q.Key + ": " + q.Ask)
	}
	return line.String()
}

// startsHint says what there is to begin with.
func startsHint() string {
	return "plugbeat init --dir FOLDER --source NAME, where NAME is one of\n" + startsList()
}

// startsList lists what there is to begin with, with the questions of each.
func startsList() string {
	var lines strings.Builder
	for _, s := range config.Starts() {
		fmt.Fprintf(&lines, "  %-9s  %s\n", s.Name, s.Doc)
		for _, q := range s.Questions {
			fmt.Fprintf(&lines, "  %-9s    %s: %s\n", "", q.Key, q.Ask)
		}
	}
	return strings.TrimRight(lines.String(), "\n")
}

// extended is the text of a config that is there, with the source added.
func (b *beginning) extended(path string, system bool) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Parse(text, filepath.Dir(path))
	if err != nil {
		return nil, terminal.LoadError(path, err)
	}
	if _, taken := cfg.Sources[b.Name]; taken {
		return nil, terminal.Hint(fmt.Errorf("there is a source %s in %s already; nothing was changed", b.Name, path),
			"give the new one another name: --set name=NAME")
	}
	section := b.Section(system)
	text, err = config.Insert(text, filepath.Dir(path), section)
	if errors.Is(err, config.ErrNoPlace) {
		return nil, terminal.Hint(fmt.Errorf("%s: %w; nothing was changed", path, err), "put it below sources: yourself:\n%s",
			strings.TrimRight(section, "\n"))
	}
	return text, err
}

// addTo adds the source to the config, with its secrets in the folder.
func (b *beginning) addTo(r *initialised, dir string) error {
	text, err := b.extended(r.Config, false)
	if err != nil {
		return err
	}
	if err := b.putSecrets(r, dir); err != nil {
		return err
	}
	if err := machine.Rewrite(r.Config, text); err != nil {
		return cannotWrite(err, r.Config)
	}
	r.Kept, r.Source = []string{}, b.Name
	return nil
}

// putSecrets writes the secrets into the folder.
func (b *beginning) putSecrets(r *initialised, dir string) error {
	if err := b.mayPut(dir); err != nil || len(b.secrets) == 0 {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, config.SecretsDirName), 0o700); err != nil {
		return cannotWrite(err, dir)
	}
	for file, secret := range b.secrets {
		if err := r.create(filepath.Join(dir, file), secret, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// mayPut refuses secrets in whose place another is.
func (b *beginning) mayPut(dir string) error {
	for file, secret := range b.secrets {
		path := filepath.Join(dir, file)
		there, err := os.ReadFile(path)
		if err == nil && !bytes.Equal(there, secret) {
			return terminal.Hint(fmt.Errorf("there is another secret in %s already; nothing was changed", path),
				"move that file away, or give the source another name: --set name=NAME")
		}
	}
	return nil
}

// named are commands with what the source is called, a line each.
func (b *beginning) named(commands []string) (lines string) {
	for _, c := range commands {
		lines += "  " + strings.ReplaceAll(c, "{name}", b.Name) + "\n"
	}
	return lines
}
