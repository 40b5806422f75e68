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
	const setting = "application.management_token_file"
	path, b, err := c.read(setting, c.Application.ManagementTokenFile, credentialToken, "openssl rand -hex 32 makes one")
	if err != nil {
		return nil, err
	}
	return tokenOf(setting, path, b)
}

// ManagementTokenNext reads the token that is to replace the management token. It is
// nil when there is none, or when it is the management token already: a rotation was
// ended, and what is left of it does no harm.
func (c Config) ManagementTokenNext() (webhook.Secret, error) {
	const setting = "application.management_token_next_file"
	file := c.ManagementTokenNextPath()
	if !c.mayBeThere(file) {
		return nil, nil
	}
	path, b, err := c.read(setting, file, credentialNext, "plugbeat token rotate-management makes one")
	if err != nil {
		return nil, err
	}
	next, err := tokenOf(setting, path, b)
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
	return c.secretPath(c.Application.ManagementTokenFile, credentialToken)
}

// ManagementTokenNextPath is where the next management token lies, or would lie;
// empty where nothing says.
func (c Config) ManagementTokenNextPath() string {
	file := c.Application.ManagementTokenNextFile
	if file == "" && c.Application.ManagementTokenFile != "" {
		file = c.Application.ManagementTokenFile + "_next"
	}
	return c.secretPath(file, credentialNext)
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
	const setting = "key_file"
	path, b, err := c.read(setting, c.KeyFile, credentialKey, c.keyAdvice())
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
	return nil, &webhook.Invalid{Field: setting, Value: path, Why: fmt.Sprintf("its %d bytes are not a key", len(b)),
		Allowed: "32 bytes, raw, in hex or in base64; " + c.keyAdvice()}
}

// keyAdvice says where a key comes from: for a data file that is there already, or may be,
// only its own key does.
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
	return c.secret("application.client_secret_file", c.Application.ClientSecretFile, credentialSecret, credentialSecret)
}

// SourceSecret reads the secret that a setting of a source names the file of.
func (c Config) SourceSecret(name, setting string) (webhook.Secret, error) {
	for f := range c.sourceSecrets(name) {
		if f.key == setting {
			return f.read()
		}
	}
	return nil, &webhook.Invalid{Field: join("sources", name), Value: setting, Allowed: "a setting that names the file of a secret"}
}

// sourceSecret is the file of a source's secret.
type sourceSecret struct {
	key, setting, file, credential string
	read                           func() (webhook.Secret, error)
}

// sourceSecrets yields those of the named source.
func (c Config) sourceSecrets(name string) iter.Seq[sourceSecret] {
	return func(yield func(sourceSecret) bool) {
		for f := range fields(c.Sources[name].Settings) {
			what := f.tag.Get("credential")
			if what == "" || f.tag.Get("optional") != "" && f.value.String() == "" {
				continue
			}
			s := sourceSecret{key: f.key, setting: join(join("sources", name), f.key), file: f.value.String(),
				credential: sourceCredential(name, what)}
			s.read = func() (webhook.Secret, error) { return c.secret(s.setting, s.file, s.credential, what) }
			if !yield(s) {
				return
			}
		}
	}
}

// sourceCredential is the name of the credential that holds a secret of a source.
func sourceCredential(source, what string) string {
	return strings.ReplaceAll(source, "-", "_") + "_" + what
}

// secret reads a secret of one line; what is its name, "client_secret".
func (c Config) secret(setting, file, credential, what string) (webhook.Secret, error) {
	path, b, err := c.read(setting, file, credential, "write the secret into a file of mode 0600 and name it here")
	if err != nil {
		return nil, err
	}
	text := SecretText(b)
	if text == "" {
		return nil, &webhook.Invalid{Field: setting, Value: path, Why: "the file is empty",
			Allowed: "a file with the " + strings.ReplaceAll(what, "_", " ")}
	}
	return webhook.Secret(text), nil
}

// credentialPrefix stands before the names of the credentials that systemd makes
// of a folder's files.
const credentialPrefix = "plugbeat_"

// secretPath is where a secret lies: the file of the setting; else the systemd
// credential, by its own name or as one of a folder's; else the file that such a
// credential is made of, for commands that systemd did not start. A setting may name
// a file of that folder, which is looked for in the same way: the daemon cannot read
// the file itself. It is empty when there is none of these.
func (c Config) secretPath(file, credential string) string {
	if file != "" {
		if !c.handedOver(file) {
			return file
		}
		credential = filepath.Base(file)
	}
	if credential == "" {
		return ""
	}
	var places []string
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		places = append(places, filepath.Join(dir, credential), filepath.Join(dir, credentialPrefix+credential))
	}
	if c.Dir != "" {
		places = append(places, filepath.Join(c.Dir, SecretsDirName, credential))
	}
	for _, path := range places {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	if len(places) > 0 {
		return places[len(places)-1]
	}
	return ""
}

// handedOver reports whether a file is one of those that systemd hands over.
func (c Config) handedOver(path string) bool {
	return c.Dir != "" && filepath.Dir(path) == filepath.Join(c.Dir, SecretsDirName)
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

// mayBeThere is false for a secret that certainly is not: its file is missing, or
// would be one of those that systemd hands over, and was not.
func (c Config) mayBeThere(path string) bool {
	_, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && c.handedOver(path) && os.Getenv("CREDENTIALS_DIRECTORY") != ""
	return path != "" && !missing
}

// SecretText is the secret of one line that a file holds: without a byte order mark, and
// without blanks and line breaks around it. Every reader of such a file goes by it, so that
// all see the same secret.
func SecretText(b []byte) string {
	return strings.TrimSpace(strings.TrimPrefix(string(b), "\ufeff"))
}

// read returns the path of a secret's file and its content.
func (c Config) read(setting, file, credential, how string) (path string, b []byte, err error) {
	bad := func(why string) error {
		allowed := "a file that plugbeat may read"
		if credential != "" {
			allowed += ", or the systemd credential " + credential
		}
		return &webhook.Invalid{Field: setting, Value: path, Why: why, Allowed: allowed + "; " + how}
	}
	// What may not be read is there: a new one in its place would be another one.
	unreadable := func(err error) (string, []byte, error) {
		if errors.Is(err, fs.ErrPermission) {
			how = "have it belong to the user that plugbeat runs as, mode 0600"
		}
		return path, nil, bad(reason(err))
	}
	path = c.secretPath(file, credential)
	if path == "" {
		return path, nil, bad("it is not set")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && file == "":
		place := path
		path = ""
		return path, nil, bad("it is not set, and there is no file " + place)
	case errors.Is(err, fs.ErrNotExist):
		return path, nil, bad("there is no such file")
	case errors.Is(err, fs.ErrPermission) && c.handedOver(path):
		if os.Getenv("CREDENTIALS_DIRECTORY") != "" {
			return path, nil, bad("systemd handed over no such credential: put it there, owned by root and of mode 0600, before the start")
		}
		return path, nil, bad("permission denied: only root reads that folder, so run this as root")
	case err != nil:
		return unreadable(err)
	case !info.Mode().IsRegular():
		return path, nil, bad("it is not a file")
	case info.Size() > maxSecret:
		return path, nil, bad("it is larger than 4096 bytes")
	}
	b, err = os.ReadFile(path)
	if err != nil {
		return unreadable(err)
	}
	return path, b, nil
}

// reason is a file error without the path that the complaint names already.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
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
	of := func(setting, file, credential string, read func() (webhook.Secret, error)) SecretFile {
		_, err := read()
		return SecretFile{Setting: setting, Path: c.secretPath(file, credential), Err: err}
	}
	files := []SecretFile{
		of("key_file", c.KeyFile, credentialKey, c.SealingKey),
		of("application.management_token_file", c.Application.ManagementTokenFile, credentialToken, c.ManagementToken),
	}
	if next, err := c.ManagementTokenNext(); next != nil || err != nil {
		files = append(files, SecretFile{Setting: "application.management_token_next_file", Path: c.ManagementTokenNextPath(), Err: err})
	}
	if c.Application.ClientSecretFile != "" || c.Application.ClientID != "" {
		files = append(files, of("application.client_secret_file", c.Application.ClientSecretFile, credentialSecret, c.ClientSecret))
	}
	for _, name := range c.SourceNames() {
		for s := range c.sourceSecrets(name) {
			files = append(files, of(s.setting, s.file, s.credential, s.read))
		}
	}
	for _, name := range c.AlertNames() {
		a := c.Alerts[name]
		if a.URLFile != "" {
			files = append(files, of(join("alerts", name)+".url_file", a.URLFile, "", func() (webhook.Secret, error) { return c.AlertURL(name) }))
		}
		if a.TokenFile != "" {
			files = append(files, of(join("alerts", name)+".token_file", a.TokenFile, "", func() (webhook.Secret, error) { return c.AlertToken(name) }))
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
		out = append(out, fmt.Sprintf("grace %s: it is shorter than delivery.timeout %s, so a stop may cut requests off, which are then sent again",
			formatDuration(c.Grace), formatDuration(c.Delivery.Timeout)))
	}
	sort.Strings(out)
	return out
}
