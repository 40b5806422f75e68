package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/adminapi"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
	"plugbeat/words"
)

func (s commands) rotateManagementCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "rotate-management",
		Usage: "replace the application management token, with an overlap",
		Description: `The management token keys SC-Signature and the challenge; every receiver has it, and callers that
unsubscribe with it. The steps, on the daemon's machine, as who may write the token's file:
   1. without a flag: makes the file of the next token. Restart plugbeat: both tokens are good now
   2. give receivers and callers the next token, when it suits them
   3. --try asks every receiver, by a challenge, which token it has
   4. --finish asks again, and when all active webhooks have the next one puts it in the place of the
      old one. Restart plugbeat
--cancel removes the next token; restart plugbeat. Each step may be repeated after a crash. Without a flag it
says at any time where the rotation stands, and what still uses the old token. See docs/keys.md.`,
		Flags: terminal.ClientFlags(
			terminal.Switch("try", "ask every receiver which token it has"),
			terminal.Switch("finish", "put the next token in the place of the old one"),
			terminal.Switch("cancel", "remove the next token"),
			terminal.Switch("force", "with --finish and --cancel: whatever receivers have"),
		),
		CustomHelpTemplate: terminal.Example(`
plugbeat token rotate-management
plugbeat token rotate-management --try
plugbeat token rotate-management --finish`),
		Action: terminal.Args(0, 0, s.rotateManagement),
	}
}

// managementRotation is the JSON of token rotate-management.
type managementRotation struct {
	// File is where the management token lies, NextFile where the next one does; Next
	// says whether there is one.
	File     string `json:"file"`
	NextFile string `json:"next_file"`
	Next     bool   `json:"next"`
	// Did is what this call did: created, finished, cancelled; empty for nothing.
	Did string `json:"did,omitempty"`
	// Restart is true when the daemon does not know yet what the files say.
	Restart bool `json:"restart"`
	// Tokens is what the daemon says; absent where none runs.
	Tokens *adminapi.ManagementToken `json:"tokens,omitempty"`
}

func (s commands) rotateManagement(c *ucli.Context) error {
	step, err := terminal.OneOf(c, "try", "finish", "cancel")
	if err != nil {
		return err
	}
	if c.Bool("force") && step != "finish" && step != "cancel" {
		return &terminal.UsageError{Text: "--force goes with --finish or --cancel"}
	}
	cfg, _, err := s.Config(c, "the daemon's config")
	if err != nil {
		return err
	}
	present, err := cfg.ManagementToken()
	if err != nil {
		return err
	}
	next, err := cfg.ManagementTokenNext()
	if err != nil {
		return err
	}
	r := managementRotation{File: cfg.ManagementTokenPath(), NextFile: cfg.ManagementTokenNextPath()}
	r.Tokens, err = s.askTokens(c, c.Bool("try") || c.Bool("finish"))
	if err != nil && !c.Bool("force") && step != "" {
		return err
	}
	switch {
	case c.Bool("finish"):
		if err := mayFinish(&r, next, c.Bool("force")); err != nil {
			return err
		}
		if err := finishToken(r.File, r.NextFile); err != nil {
			return err
		}
		if next != nil {
			present, next, r.Did = next, nil, "finished"
		}
	case c.Bool("cancel"):
		if names := holders(r.Tokens, adminapi.HasNext); len(names) > 0 && !c.Bool("force") {
			return terminal.Hint(fmt.Errorf("these receivers have the next token already: %s; nothing was changed", strings.Join(names, ", ")),
				"give them the old one again, or finish: plugbeat token rotate-management --finish")
		}
		if err := cancelToken(r.NextFile); err != nil {
			return err
		}
		if next != nil {
			next, r.Did = nil, "cancelled"
		}
	case step == "" && next == nil:
		if err := beginToken(r.File, r.NextFile); err != nil {
			return err
		}
		if next, err = cfg.ManagementTokenNext(); err != nil {
			return err
		}
		r.Did = "created"
	}
	r.Next = next != nil
	if t := r.Tokens; t != nil {
		r.Restart = t.Fingerprint != signing.Fingerprint(present) || (t.Next != "") != r.Next || r.Next && t.Next != signing.Fingerprint(next)
	}
	return s.Print(c, r, func(p *terminal.Page) { showManagement(p, &r) })
}

// askTokens asks the daemon, after it has asked the receivers if try is true.
func (s commands) askTokens(c *ucli.Context, try bool) (m *adminapi.ManagementToken, err error) {
	err = s.WithClient(0, 0, func(ctx context.Context, _ *ucli.Context, a *adminapi.Client) error {
		ask := a.ManagementToken
		if try {
			ask = a.TryManagementToken
		}
		got, err := ask(ctx)
		if err == nil {
			m = &got
		}
		return err
	})(c)
	return m, err
}

// holders are the names of the active webhooks whose receivers have that token.
func holders(m *adminapi.ManagementToken, has ...adminapi.TokenHas) (names []string) {
	if m == nil {
		return nil
	}
	for _, w := range m.Webhooks {
		for _, h := range has {
			if w.Has == h && w.Status == webhook.Active {
				names = append(names, words.Clean(w.Name))
			}
		}
	}
	return names
}

// mayFinish returns why the rotation may not be finished now, or nil.
func mayFinish(r *managementRotation, next webhook.Secret, force bool) error {
	if next == nil || force {
		return nil // there is nothing to lose, or it was asked for
	}
	if r.Tokens.Next != signing.Fingerprint(next) {
		return terminal.Hint(errors.New("the daemon does not know the next token yet, so no receiver was asked for it; nothing was changed"),
			"restart plugbeat, then: plugbeat token rotate-management --try")
	}
	var late []string
	for _, w := range r.Tokens.Webhooks {
		if w.Status != webhook.Active {
			continue
		}
		if w.Has != adminapi.HasNext || w.Challenge == nil || w.Challenge.Token != r.Tokens.Next {
			late = append(late, words.Clean(w.Name))
		}
	}
	if len(late) > 0 {
		return terminal.Hint(fmt.Errorf("these receivers did not answer with the next token: %s; nothing was changed", strings.Join(late, ", ")),
			"see why: plugbeat token rotate-management --try; or finish all the same: plugbeat token rotate-management --finish --force")
	}
	return nil
}

// beginToken makes the file of a next token, as the present one's: its owner, its
// mode. What is there already stays.
func beginToken(present, next string) error {
	return putToken(next, present, config.NewManagementToken())
}

// finishToken puts the next token in the present one's place, then removes its file.
// Wherever it stops, either the present token is as it was, or it is the next one
// and what is left is a file of the same token, which counts as none.
func finishToken(present, next string) error {
	b, err := os.ReadFile(next)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the next token: %w", err)
	}
	if err := putToken(present, present, b); err != nil {
		return err
	}
	return cancelToken(next)
}

// cancelToken removes the next token's file; that there is none is fine.
func cancelToken(next string) error {
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the next token: %w", err)
	}
	return machine.SyncDir(filepath.Dir(next))
}

// putToken writes a file with the owner and the mode of like, and removes what a crash left
// beside it.
func putToken(path, like string, text []byte) error {
	if err := machine.RemoveUnfinished(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	info, err := os.Stat(like)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	uid, gid := -1, -1
	if os.Geteuid() == 0 {
		uid, gid = terminal.OwnerOf(like, info)
	}
	err = machine.PutFile(path, text, info.Mode().Perm(), uid, gid, true)
	return terminal.FolderError(err, path, "run this as one who may write there, on a disk that takes it")
}

var tokenHas = map[adminapi.TokenHas]string{
	adminapi.HasPresent: "the old one", adminapi.HasNext: "the next one", adminapi.HasUnknown: "not known",
}

func showManagement(p *terminal.Page, r *managementRotation) {
	switch r.Did {
	case "created":
		p.Line("made the next management token: %s", words.Clean(r.NextFile))
	case "finished":
		p.Line("the next management token is the management token now: %s", words.Clean(r.File))
	case "cancelled":
		p.Line("removed the next management token; %s stays", words.Clean(r.File))
	default:
		if r.Next {
			p.Line("a rotation is going on: the next management token is in %s", words.Clean(r.NextFile))
		} else {
			p.Line("no rotation of the management token is going on")
		}
	}
	t := r.Tokens
	switch {
	case t == nil:
		p.Line("no daemon answers; it takes up what the files say when it starts")
		return
	case r.Restart:
		p.Line("next: restart plugbeat; it goes by the old files until then")
	}
	if t.Next == "" || r.Did != "" && r.Did != "created" {
		return
	}
	p.Line("")
	var rows []terminal.Row
	for _, w := range t.Webhooks {
		said := ""
		if w.Challenge != nil {
			said = w.Challenge.Text
		}
		rows = append(rows, terminal.Texts(w.Name, string(w.Status), tokenHas[w.Has], p.Rel(w.At), said))
	}
	if len(rows) > 0 {
		p.Table(append(terminal.Columns("WEBHOOK", "STATUS", "ITS RECEIVER HAS", "ANSWERED"), terminal.Column{Head: "NOW", Least: 20}), rows)
	}
	p.Line("callers last used the old token %s, the next one %s", p.Or(t.UsedAt, "never"), p.Or(t.NextUsedAt, "never"))
	if r.Restart {
		return
	}
	p.Line("")
	if late := holders(t, adminapi.HasPresent, adminapi.HasUnknown); len(late) > 0 {
		p.Line("next: give these receivers the token in %s, then --try: %s", words.Clean(r.NextFile), strings.Join(late, ", "))
		return
	}
	p.Line("next: plugbeat token rotate-management --finish")
}
