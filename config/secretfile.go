package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"plugbeat/webhook"
)

// secretFile is one secret outside of the config: in the file that a setting names, or in a
// systemd credential.
type secretFile struct {
	dir        string // the config's folder
	setting    string // its dotted path
	file       string // what the setting says; may be empty
	credential string // stands in for an empty setting; empty for none
}

// credentialPrefix stands before the names of the credentials that systemd makes
// of a folder's files.
const credentialPrefix = "plugbeat_"

// path is where the secret lies, empty where nothing says. The first of these is taken:
//
//   - the file that the setting names;
//   - the systemd credential, by its own name or as one of a folder's;
//   - the file in the secrets folder that such a credential is made of, for commands that
//     systemd did not start.
//
// Where the setting names a file of the secrets folder, which the daemon cannot read, the
// credential of that name is looked for.
func (f secretFile) path() string {
	credential := f.credential
	if f.file != "" {
		if !handedOver(f.dir, f.file) {
			return f.file
		}
		credential = filepath.Base(f.file)
	}
	if credential == "" {
		return ""
	}
	var places []string
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		places = append(places, filepath.Join(dir, credential), filepath.Join(dir, credentialPrefix+credential))
	}
	if f.dir != "" {
		places = append(places, filepath.Join(f.dir, SecretsDirName, credential))
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

// handedOver reports whether a file is one of the secrets folder, which systemd hands over;
// dir is the config's folder.
func handedOver(dir, path string) bool {
	return dir != "" && filepath.Dir(path) == filepath.Join(dir, SecretsDirName)
}

// read returns the path of the secret and its content. how says in an error how to make one.
func (f secretFile) read(how string) (path string, b []byte, err error) {
	bad := func(why string) error {
		allowed := "a file that plugbeat may read"
		if f.credential != "" {
			allowed += ", or the systemd credential " + f.credential
		}
		return &webhook.Invalid{Field: f.setting, Value: path, Why: why, Allowed: allowed + "; " + how}
	}
	unreadable := func(err error) (string, []byte, error) {
		how = adviceAfter(err, how)
		return path, nil, bad(reason(err))
	}
	path = f.path()
	if path == "" {
		return path, nil, bad("it is not set")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.file == "":
		place := path
		path = ""
		return path, nil, bad("it is not set, and there is no file " + place)
	case errors.Is(err, fs.ErrNotExist):
		return path, nil, bad("there is no such file")
	case errors.Is(err, fs.ErrPermission) && handedOver(f.dir, path):
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

// adviceAfter is what to do where a secret's file cannot be read. A file that may not be read
// is there: making a new secret is no remedy.
func adviceAfter(err error, toMake string) string {
	if errors.Is(err, fs.ErrPermission) {
		return "have it belong to the user that plugbeat runs as, mode 0600"
	}
	return toMake
}

// reason is a file error without the path that the complaint names already.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// text reads a secret of one line; what is its name, "client_secret".
func (f secretFile) text(what string) (webhook.Secret, error) {
	path, b, err := f.read("write the secret into a file of mode 0600 and name it here")
	if err != nil {
		return nil, err
	}
	text := SecretText(b)
	if text == "" {
		return nil, &webhook.Invalid{Field: f.setting, Value: path, Why: "the file is empty",
			Allowed: "a file with the " + strings.ReplaceAll(what, "_", " ")}
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return nil, &webhook.Invalid{Field: f.setting, Value: path, Why: "it is not UTF-8, or has several lines or control characters",
			Allowed: "a file with the " + strings.ReplaceAll(what, "_", " ") + " on one line, in UTF-8"}
	}
	return webhook.Secret(text), nil
}

// word reads a secret of one line without spaces.
func (f secretFile) word() (webhook.Secret, error) {
	path, b, err := f.read("write it into a file of mode 0600 and name it here")
	if err != nil {
		return nil, err
	}
	text := SecretText(b)
	if text == "" || strings.ContainsFunc(text, notToken) {
		return nil, &webhook.Invalid{Field: f.setting, Value: path, Why: "it is empty, or has spaces, line breaks or characters outside ASCII",
			Allowed: "one line of printable ASCII"}
	}
	return webhook.Secret(text), nil
}

// absent reports whether there certainly is no such secret: its file is missing, or systemd did not
// hand it over.
func (f secretFile) absent() bool {
	path := f.path()
	_, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && handedOver(f.dir, path) &&
		os.Getenv("CREDENTIALS_DIRECTORY") != ""
	return path == "" || missing
}

// SecretText is the secret of one line that a file holds: without a byte order mark, and
// without blanks and line breaks around it. Every reader of such a file goes by it, so that
// all see the same secret.
func SecretText(b []byte) string {
	return strings.TrimSpace(strings.TrimPrefix(string(b), "\ufeff"))
}
