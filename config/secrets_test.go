package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plugbeat/vehicle/mqtt"
	"plugbeat/webhook"
)

func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestManagementToken(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	long := strings.Repeat("x", 31)
	for _, c := range []struct{ name, text, wrong string }{
		{"plain", long + "y", ""},
		{"newline trimmed", long + "y\n", ""},
		{"newlines trimmed", long + "y\r\n\n", ""},
		{"short", long, "the token in it has 31 characters; allowed: at least 32 characters; openssl rand -hex 32 makes one"},
		{"short with its newline", long + "\n", "the token in it has 31 characters"},
		{"empty", "\n", "the token in it has 0 characters"},
		{"two lines", long + "\n" + long, "there are spaces, line breaks or characters outside ASCII"},
		{"a space", long + " y", "there are spaces"},
		{"not ASCII", long + "é", "outside ASCII"},
		{"too large", strings.Repeat("x", 4097), "it is larger than 4096 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, dir, "token", c.text, 0o600)
			cfg := Config{Application: Application{ManagementTokenFile: file}}
			got, err := cfg.ManagementToken()
			if c.wrong == "" {
				if err != nil || string(got) != long+"y" {
					t.Fatalf("got %d characters, %v", len(got), err)
				}
				return
			}
			var bad *webhook.Invalid
			if !errors.As(err, &bad) || bad.Field != "application.management_token_file" || bad.Value != file || !strings.Contains(err.Error(), c.wrong) {
				t.Fatalf("got %v", err)
			}
			if got != nil || strings.Contains(err.Error(), "xxxx") {
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
	for file, wrong := range map[string]string{
		"":                               `application.management_token_file "": it is not set; allowed: a file that plugbeat may read, or the systemd credential management_token; openssl rand -hex 32 makes one`,
		filepath.Join(dir, "none"):       "there is no such file",
		dir:                              "it is not a file",
		filepath.Join(dir, "token", "x"): "not a directory",
	} {
		_, err := Config{Application: Application{ManagementTokenFile: file}}.ManagementToken()
		if err == nil || !strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "openssl rand -hex 32 makes one") {
			t.Errorf("%q: got %v", file, err)
		}
	}
}

func TestSealingKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(200 + i)
	}
	key[31] = '\n' // a raw key may end in a line break
	for name, text := range map[string]string{
		"raw": string(key), "hex": hex.EncodeToString(key), "hex and newline": strings.ToUpper(hex.EncodeToString(key)) + "\n",
		"base64": base64Of(key) + "\n",
	} {
		got, err := Config{KeyFile: write(t, dir, "key", text, 0o600)}.SealingKey()
		if err != nil || string(got) != string(key) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
	for name, text := range map[string]string{"empty": "", "short": "abc\n", "31 bytes": base64Of(key[1:]), "33 bytes": string(key) + "x", "hex of 31": hex.EncodeToString(key[1:])} {
		got, err := Config{KeyFile: write(t, dir, "key", text, 0o600)}.SealingKey()
		var bad *webhook.Invalid
		if !errors.As(err, &bad) || bad.Field != "key_file" || got != nil {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
	if got, err := (Config{KeyFile: write(t, dir, "key", string(NewSealingKey())+"\n", 0o600)}).SealingKey(); err != nil || len(got) != 32 {
		t.Errorf("a new key: %v", err)
	}
}

// TestLostSealingKey: who lost the key of a data file is not told to make another.
func TestLostSealingKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	cfg := Config{DataDir: dir, KeyFile: filepath.Join(dir, "key")}
	for _, text := range []string{"", "no key"} {
		if text != "" {
			write(t, dir, "key", text, 0o600)
		}
		if _, err := cfg.SealingKey(); err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32 makes one") {
			t.Errorf("a new folder: %v", err)
		}
		write(t, dir, "plugbeat.db", "sealed", 0o600)
		if _, err := cfg.SealingKey(); err == nil || !strings.Contains(err.Error(), "put back the key that "+cfg.DataFile()+" was created with; a new one cannot open it") || strings.Contains(err.Error(), "makes one") {
			t.Errorf("a data file without its key: %v", err)
		}
		if err := os.Remove(cfg.DataFile()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCredentials holds that systemd's credentials stand in for empty settings,
// and only for those.
func TestCredentials(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	token := string(NewManagementToken())
	write(t, dir, "management_token", token, 0o400)
	write(t, dir, "sealing_key", string(NewSealingKey()), 0o400)
	write(t, dir, "client_secret", "app secret\n", 0o400)
	write(t, dir, "my_fleet_client_secret", "vendor secret\n", 0o400)
	cfg := Config{Sources: map[string]Source{"my-fleet": DefaultSource("smartcar")}}
	if got, err := cfg.ManagementToken(); err != nil || string(got) != token {
		t.Errorf("token: %v", err)
	}
	if got, err := cfg.ClientSecret(); err != nil || string(got) != "app secret" {
		t.Errorf("client secret: %v", err)
	}
	if got, err := cfg.SourceSecret("my-fleet", "client_secret_file"); err != nil || string(got) != "vendor secret" {
		t.Errorf("source's secret: %v", err)
	}
	if err := cfg.CheckFiles(); err != nil {
		t.Error(err)
	}
	cfg.Application.ManagementTokenFile = filepath.Join(other, "none")
	cfg.KeyFile = write(t, other, "key", "no key", 0o600)
	err := cfg.CheckFiles()
	var all *Error
	if !errors.As(err, &all) || len(all.Complaints) != 2 {
		t.Errorf("got %v", err)
	}
}

// TestSecretsOfOneLine: what surrounds a secret is no part of it, and what is no line of text is
// refused and not sent.
func TestSecretsOfOneLine(t *testing.T) {
	dir := t.TempDir()
	cfg := parse(t, "application: {client_id: x}")
	cfg.Application.ClientSecretFile = filepath.Join(dir, "secret")
	for text, want := range map[string]string{
		"s3cret\r\n": "s3cret", "\ufeff s3cret \r\n\r\n": "s3cret", "\ts3 cret\u00a0\n": "s3 cret", "pass\u00e9": "pass\u00e9",
		"one\ntwo\n": "", "a\x00b": "", "a\x1b[31mb": "", "\xff\xfes\x003\x00": "", "\r\n": "", "\ufeff": "",
	} {
		write(t, dir, "secret", text, 0o600)
		got, err := cfg.ClientSecret()
		var bad *webhook.Invalid
		if string(got) != want || (err == nil) != (want != "") || err != nil && (!errors.As(err, &bad) || bad.Field != "application.client_secret_file" || bad.Allowed == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// TestSecretsFolder holds where an empty setting is looked for: the credential of its
// own name, then the one that systemd makes of the folder's file, then, for a
// command that systemd did not start, that file itself.
func TestSecretsFolder(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir, given := t.TempDir(), t.TempDir()
	cfg := Config{Dir: dir}
	token := func() string {
		got, err := cfg.ManagementToken()
		if err != nil {
			return err.Error()
		}
		return string(got)
	}
	file := filepath.Join(dir, "secrets", "management_token")
	if got := token(); !strings.Contains(got, `management_token_file "": it is not set, and there is no file `+file) {
		t.Error(got)
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, name, text, credentials string }{
		{filepath.Dir(file), "management_token", strings.Repeat("f", 32), ""},
		{given, "plugbeat_management_token", strings.Repeat("p", 32), given},
		{given, "management_token", strings.Repeat("o", 32), given},
	} {
		write(t, c.dir, c.name, c.text, 0o600)
		t.Setenv("CREDENTIALS_DIRECTORY", c.credentials)
		if got := token(); got != c.text {
			t.Errorf("with %s: got %s", c.name, got)
		}
	}

	// A file of that folder that a setting names is looked for in the same way, and
	// other files are not.
	cfg.Application.ManagementTokenFile = filepath.Join(dir, "secrets", "other")
	write(t, filepath.Dir(file), "other", strings.Repeat("x", 32), 0o600)
	if got := token(); got != strings.Repeat("x", 32) {
		t.Errorf("a named file of the folder: %s", got)
	}
	write(t, given, "plugbeat_other", strings.Repeat("y", 32), 0o600)
	if got := token(); got != strings.Repeat("y", 32) {
		t.Errorf("a named file of the folder, handed over: %s", got)
	}
	cfg.Application.ManagementTokenFile = write(t, dir, "other", strings.Repeat("z", 32), 0o600)
	if got := token(); got != strings.Repeat("z", 32) {
		t.Errorf("a file elsewhere: %s", got)
	}
}

func TestWarnings(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	cfg := Default()
	cfg.KeyFile = write(t, dir, "key", "k", 0o640)
	cfg.Application.ManagementTokenFile = write(t, dir, "token", "t", 0o600)
	if got := cfg.Warnings(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	cfg.KeyFile = write(t, dir, "the key; rm x", "k", 0o644)
	cfg.HTTP.API.Listen, cfg.HTTP.Admin.Listen = ":8765", "[::1]:8766"
	cfg.Grace = cfg.Delivery.Timeout / 2
	unfilled := DefaultSource("mqtt")
	unfilled.Settings.(*mqtt.Settings).Broker = "mqtts://mqtt.lan"
	cfg.Sources["mine"] = unfilled
	got := strings.Join(cfg.Warnings(), "\n")
	want := "grace 7.5s: it is shorter than delivery.timeout 15s, so a stop may cut requests off, which are then sent again\n" +
		"http.api.listen :8765: other machines can reach it and it speaks plain HTTP; put a reverse proxy with TLS in front and listen on 127.0.0.1\n" +
		"key_file " + cfg.KeyFile + ": its mode 0644 lets other users at it; run: chmod 600 '" + cfg.KeyFile + "'\n" +
		"sources.mine.vehicles \"\": nothing is read; a vehicle, such as {id: model3, preset: teslamate, with: {car: 1}}; plugbeat source discover finds those that the broker offers"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// The next management token is a file beside the present one unless a setting says
// where; none, and one that is in place already, is no fault.
func TestManagementTokenNext(t *testing.T) {
	dir := t.TempDir()
	now, next := strings.Repeat("n", 32), strings.Repeat("x", 32)
	cfg := Config{Dir: dir, Application: Application{ManagementTokenFile: write(t, dir, "token", now, 0o600)}}
	want := func(token string) {
		t.Helper()
		got, err := cfg.ManagementTokenNext()
		if err != nil || string(got) != token {
			t.Errorf("got %d characters, %v", len(got), err)
		}
		if n := len(cfg.SecretFiles()); n != map[bool]int{false: 2, true: 3}[token != ""] {
			t.Errorf("%d files of secrets", n)
		}
	}
	want("")
	write(t, dir, "token_next", next+"\n", 0o600)
	want(next)
	write(t, dir, "token_next", now, 0o600)
	want("")
	cfg.Application.ManagementTokenNextFile = filepath.Join(dir, "elsewhere")
	want("")
	write(t, dir, "elsewhere", next, 0o600)
	want(next)
	write(t, dir, "elsewhere", "short", 0o600)
	var bad *webhook.Invalid
	if _, err := cfg.ManagementTokenNext(); !errors.As(err, &bad) || bad.Field != "application.management_token_next_file" || strings.Contains(err.Error(), "short") {
		t.Error(err)
	}

	// As systemd's credential, or the file that it is made of.
	cfg = Config{Dir: dir}
	given := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", given)
	write(t, given, "plugbeat_management_token", now, 0o400)
	want("")
	write(t, given, "plugbeat_management_token_next", next, 0o400)
	want(next)
}

// Where a data file may be, nobody is told to make a new key: only its own opens it.
func TestKeyAdvice(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, new := range map[string]bool{filepath.Join(dir, "data"): true, filepath.Join(dir, "file"): false} { // in a file there is no telling
		if got := (Config{DataDir: folder}).keyAdvice(); strings.Contains(got, "openssl") != new {
			t.Errorf("%s: %q", folder, got)
		}
	} // Nor where there are backups, whose data file is gone.
	cfg := Config{DataDir: filepath.Join(dir, "data"), Backup: Backup{Folder: dir}}
	if got := cfg.keyAdvice(); !strings.Contains(got, "openssl") {
		t.Errorf("without a backup: %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugbeat-2026-03-01.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := cfg.keyAdvice(); strings.Contains(got, "openssl") || !strings.Contains(got, "the key that the backups in "+dir) {
		t.Errorf("with a backup: %q", got)
	}
	// Nor where the key's file is there and may not be read.
	denied := &fs.PathError{Op: "open", Path: "key", Err: syscall.EACCES}
	if got := adviceAfter(denied, cfg.keyAdvice()); got != "have it belong to the user that plugbeat runs as, mode 0600" {
		t.Errorf("a key that may not be read: %q", got)
	}
}
