package config

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"plugbeat/webhook"
	"plugbeat/words"
)

// The names of the systemd credentials that stand in for an empty file setting.
const (
	credentialKey    = "sealing_key"
	credentialToken  = "management_token"
	credentialNext   = "management_token_next"
	credentialSecret = "client_secret"
)

const (
	minToken = 32
	keySize  = 32
	// maxSecret bounds what is read of a secret's file.
	maxSecret = 4096
	// widest is the most that a secret's file may allow.
	widest = 0o640
)

// NewManagementToken returns a random management token of 64 hex characters.
func NewManagementToken() webhook.Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return webhook.Secret(hex.EncodeToString(b[:]))
}

// NewSealingKey returns a random key as key_file holds it, in base64.
func NewSealingKey() webhook.Secret {
	var b [keySize]byte
	_, _ = rand.Read(b[:]) // never fails
	return webhook.Secret(base64.StdEncoding.EncodeToString(b[:]))
}

// ManagementToken reads the application management token, without the line break
// that ends its file. The error names the setting and says how to make one.
func (c Config) ManagementToken() (webhook.Secret, error) {
	f := c.managementToken()
	path, b, err := f.read("openssl rand -hex 32 makes one")
	if err != nil {
		return nil, err
	}
	return tokenOf(f.setting, path, b)
}

// ManagementTokenNext reads the token that is to replace the management token. It is
// nil when there is none, or when it equals the management token: then a rotation has
// ended and left its file.
func (c Config) ManagementTokenNext() (webhook.Secret, error) {
	f := c.managementTokenNext()
	if f.absent() {
		return nil, nil
	}
	path, b, err := f.read("plugbeat token rotate-management makes one")
	if err != nil {
		return nil, err
	}
	next, err := tokenOf(f.setting, path, b)
	if err != nil {
		return nil, err
	}
	if now, err := c.ManagementToken(); err == nil && subtle.ConstantTimeCompare(now, next) == 1 {
		return nil, nil
	}
	return next, nil
}

// ManagementTokenPath is where the management token lies; empty where nothing says.
func (c Config) ManagementTokenPath() string {
	return c.managementToken().path()
}

// ManagementTokenNextPath is where the next management token lies, or would lie;
// empty where nothing says.
func (c Config) ManagementTokenNextPath() string {
	return c.managementTokenNext().path()
}

func (c Config) managementToken() secretFile {
	return secretFile{c.Dir, "application.management_token_file", c.Application.ManagementTokenFile, credentialToken}
}

func (c Config) managementTokenNext() secretFile {
	file := c.Application.ManagementTokenNextFile
	if file == "" && c.Application.ManagementTokenFile != "" {
		file = c.Application.ManagementTokenFile + "_next"
	}
	return secretFile{c.Dir, "application.management_token_next_file", file, credentialNext}
}

// tokenOf is the token that a file holds.
func tokenOf(setting, path string, b []byte) (webhook.Secret, error) {
	text := SecretText(b)
	switch {
	case len(text) < minToken:
		return nil, &webhook.Invalid{Field: setting, Value: path, Why: fmt.Sprintf("the token in it has %d characters", len(text)),
			Allowed: "at least 32 characters; openssl rand -hex 32 makes one"}
	case strings.ContainsFunc(text, notToken):
		return nil, &webhook.Invalid{Field: setting, Value: path, Why: "there are spaces, line breaks or characters outside ASCII in the token",
			Allowed: "printable ASCII without spaces, on one line"}
	}
	return webhook.Secret(text), nil
}

func notToken(r rune) bool { return r <= ' ' || r > '~' }

// SealingKey reads the 32-byte key that seals secrets in the data file: raw, in
// hex or in base64.
func (c Config) SealingKey() (webhook.Secret, error) {
	f := c.sealingKey()
	path, b, err := f.read(c.keyAdvice())
	if err != nil {
		return nil, err
	}
	if len(b) == keySize { // a raw key may end in any byte
		return b, nil
	}
	text := SecretText(b)
	if k, err := hex.DecodeString(text); err == nil && len(k) == keySize {
		return k, nil
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if k, err := enc.DecodeString(text); err == nil && len(k) == keySize {
			return k, nil
		}
	}
	return nil, &webhook.Invalid{Field: f.setting, Value: path, Why: fmt.Sprintf("its %d bytes are not a key", len(b)),
		Allowed: "32 bytes, raw, in hex or in base64; " + c.keyAdvice()}
}

func (c Config) sealingKey() secretFile {
	return secretFile{c.Dir, "key_file", c.KeyFile, credentialKey}
}

// keyAdvice says how to get a key. A data file or a backup that exists needs the key that it
// was made with; a new key is made only where neither exists.
func (c Config) keyAdvice() string {
	if c.DataDir != "" {
		if _, err := os.Stat(c.DataFile()); !errors.Is(err, fs.ErrNotExist) {
			return "put back the key that " + c.DataFile() + " was created with; a new one cannot open it"
		}
	}
	if c.Backup.Folder != "" {
		if kept, _ := filepath.Glob(filepath.Join(c.Backup.Folder, "*.db")); len(kept) > 0 { // the pattern is well-formed
			return "put back the key that the backups in " + c.Backup.Folder + " were made with; a new one cannot open them"
		}
	}
	return "openssl rand -base64 32 makes one"
}

// ClientSecret reads the application's client secret.
func (c Config) ClientSecret() (webhook.Secret, error) {
	return c.clientSecret().text(credentialSecret)
}

func (c Config) clientSecret() secretFile {
	return secretFile{c.Dir, "application.client_secret_file", c.Application.ClientSecretFile, credentialSecret}
}

// SourceSecret reads the secret that a setting of a source names the file of.
func (c Config) SourceSecret(name, setting string) (webhook.Secret, error) {
	for f := range c.sourceSecrets(name) {
		if f.key == setting {
			return f.text(f.what)
		}
	}
	return nil, &webhook.Invalid{Field: join("sources", name), Value: setting, Allowed: "a setting that names the file of a secret"}
}

// sourceSecret is a secret of a source.
type sourceSecret struct {
	secretFile
	key  string // of the setting, within its source
	what string // the secret's name, "client_secret"
}

// sourceSecrets yields those of the named source.
func (c Config) sourceSecrets(name string) iter.Seq[sourceSecret] {
	return func(yield func(sourceSecret) bool) {
		for f := range fields(c.Sources[name].Settings) {
			what := f.tag.Get("credential")
			if what == "" || f.tag.Get("optional") != "" && f.value.String() == "" {
				continue
			}
			file := secretFile{c.Dir, join(join("sources", name), f.key), f.value.String(), sourceCredential(name, what)}
			if !yield(sourceSecret{file, f.key, what}) {
				return
			}
		}
	}
}

// sourceCredential is the name of the credential that holds a secret of a source.
func sourceCredential(source, what string) string {
	return strings.ReplaceAll(source, "-", "_") + "_" + what
}

// LacksCredentials reports whether the secrets lie in the folder that only the service
// manager reads, and the manager handed none over. It returns the folder.
func (c Config) LacksCredentials() (folder string, yes bool) {
	folder = filepath.Join(c.Dir, SecretsDirName)
	if c.Dir == "" || os.Getenv("CREDENTIALS_DIRECTORY") != "" {
		return folder, false
	}
	_, err := os.ReadDir(folder)
	return folder, errors.Is(err, fs.ErrPermission)
}

// SecretFile is one of the secrets that the daemon needs to serve.
type SecretFile struct {
	Setting string
	// Path is where it lies; empty when nothing says where.
	Path string
	// Err is why it cannot be had, a [*webhook.Invalid].
	Err error
}

// SecretFiles reads every secret that the daemon needs to serve, and tells where each
// lies and whether it can be had.
func (c Config) SecretFiles() []SecretFile {
	of := func(f secretFile, read func() (webhook.Secret, error)) SecretFile {
		_, err := read()
		return SecretFile{Setting: f.setting, Path: f.path(), Err: err}
	}
	files := []SecretFile{of(c.sealingKey(), c.SealingKey), of(c.managementToken(), c.ManagementToken)}
	if next, err := c.ManagementTokenNext(); next != nil || err != nil {
		files = append(files, SecretFile{Setting: "application.management_token_next_file", Path: c.ManagementTokenNextPath(), Err: err})
	}
	if c.Application.ClientSecretFile != "" || c.Application.ClientID != "" {
		files = append(files, of(c.clientSecret(), c.ClientSecret))
	}
	for _, name := range c.SourceNames() {
		for s := range c.sourceSecrets(name) {
			files = append(files, of(s.secretFile, func() (webhook.Secret, error) { return s.text(s.what) }))
		}
	}
	for _, name := range c.AlertNames() {
		a := c.Alerts[name]
		if a.URLFile != "" {
			files = append(files, of(c.alertFile(name, "url_file", a.URLFile), func() (webhook.Secret, error) { return c.AlertURL(name) }))
		}
		if a.TokenFile != "" {
			files = append(files, of(c.alertFile(name, "token_file", a.TokenFile), func() (webhook.Secret, error) { return c.AlertToken(name) }))
		}
	}
	return files
}

// CheckFiles reads every secret that the daemon needs to serve, and returns an
// [*Error] with all that cannot be had.
func (c Config) CheckFiles() error {
	p := newComplaints()
	for _, f := range c.SecretFiles() {
		if bad, ok := errors.AsType[*webhook.Invalid](f.Err); ok {
			p.add(bad.Field, bad.Value, bad.Why, bad.Allowed)
		}
	}
	return p.err()
}

// Warnings says what is allowed but unwise, a sentence each: secrets that other
// users may read, and listeners that other machines may reach.
func (c Config) Warnings() []string {
	var out []string
	for name, s := range c.Sources {
		if s.Settings == nil {
			continue
		}
		for _, w := range s.Settings.Check() {
			if w.Warning {
				out = append(out, fmt.Sprintf("%s %q: %s; %s", join(join("sources", name), w.Setting), w.Value, w.Why, w.Allowed))
			}
		}
	}
	for _, f := range c.SecretFiles() {
		if info, err := os.Stat(f.Path); err == nil && info.Mode().Perm()&^widest != 0 {
			out = append(out, fmt.Sprintf("%s %s: its mode %04o lets other users at it; run: chmod 600 %s",
				f.Setting, f.Path, info.Mode().Perm(), words.Shell(f.Path)))
		}
	}
	for setting, listen := range map[string]string{"http.api.listen": c.HTTP.API.Listen, "http.admin.listen": c.HTTP.Admin.Listen} {
		if listen != "" && !loopbackListen(listen) {
			out = append(out, fmt.Sprintf("%s %s: other machines can reach it and it speaks plain HTTP; "+
				"put a reverse proxy with TLS in front and listen on 127.0.0.1", setting, listen))
		}
	}
	if c.Grace < c.Delivery.Timeout {
		out = append(out, fmt.Sprintf(
			"grace %s: it is shorter than delivery.timeout %s, so a stop may cut requests off, which are then sent again",
			formatDuration(c.Grace), formatDuration(c.Delivery.Timeout)))
	}
	sort.Strings(out)
	return out
}
