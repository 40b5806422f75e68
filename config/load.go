package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"plugbeat/vehicle"
)

const (
	standardDataDir = "/var/lib/plugbeat"
	standardSocket  = "/run/plugbeat/plugbeat.sock"

	// MaxSocket is the longest path of a unix socket that every system takes, in bytes.
	MaxSocket = 103

	// maxFile is the largest config file that is read, in bytes.
	maxFile = 1 << 20
)

// Load reads the file. The error is an [*Error] when a setting is wrong, and wraps
// fs.ErrNotExist when there is no file.
func Load(file string) (Config, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return Config{}, fmt.Errorf("find config: %w", err)
	}
	text, err := ReadFile(abs, maxFile+1) // Parse says what is too large
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	return Parse(text, filepath.Dir(abs))
}

// Parse reads the text of a config file that lies in the folder dir.
func Parse(text []byte, dir string) (Config, error) {
	c := Default()
	p := newComplaints()
	root, ok := document(p, text)
	if root != nil {
		c.Given = map[string]string{}
		reader{p, c.Given}.mapping(root, "", "", "")
		if err := root.Decode(&c); err != nil { // what is wrong was taken out
			p.add(wholeFile, "", "it cannot be read: "+err.Error(), "keys and values, as in config.example.yaml")
		}
	}
	if ok {
		checker{c, p}.check()
	}
	r := c.Resolve(dir)
	if n := len(r.Socket); n > MaxSocket {
		p.add("socket", r.Socket, fmt.Sprintf("its path has %d bytes", n),
			fmt.Sprintf("a path of at most %d bytes, which is what every system takes; without one it is plugbeat.sock in data_dir", MaxSocket))
	}
	if err := p.err(); err != nil {
		return Config{}, err
	}
	return r, nil
}

// document returns the one document of the text, nil when there is nothing in it.
func document(p *complaints, b []byte) (*yaml.Node, bool) {
	wrong := func(value, why, allowed string) (*yaml.Node, bool) {
		p.add(wholeFile, value, why, allowed)
		return nil, false
	}
	switch {
	case len(b) > maxFile:
		return wrong("", "the file is too large", "at most 1MiB")
	case !utf8.Valid(b):
		return wrong("", "the file is not UTF-8", "UTF-8 text")
	}
	loader, err := yaml.NewLoader(bytes.NewReader(b))
	if err != nil {
		return wrong("", err.Error(), "YAML")
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		return nil, true
	case err != nil:
		line, why, allowed := syntax(err, b)
		p.lines[wholeFile] = line
		return wrong("", why, allowed)
	}
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		return wrong("", "there is a second document", "one document")
	}
	if len(doc.Content) != 1 || isNull(doc.Content[0]) {
		return nil, true
	}
	if root := doc.Content[0]; root.Kind != yaml.MappingNode {
		return wrong("", notMapping(root), "keys: "+strings.Join(below("", ""), ", "))
	}
	return doc.Content[0], true
}

// Resolve returns the config with its paths made absolute against dir and the
// socket's default filled in.
func (c Config) Resolve(dir string) Config {
	c = c.clone()
	c.Dir = dir
	at := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	at(&c.DataDir)
	if c.Socket == "" {
		c.Socket = standardSocket
		if filepath.Clean(c.DataDir) != standardDataDir {
			c.Socket = filepath.Join(c.DataDir, "plugbeat.sock")
		}
	}
	at(&c.Socket)
	at(&c.KeyFile)
	at(&c.Backup.Folder)
	at(&c.Application.ClientSecretFile)
	at(&c.Application.ManagementTokenFile)
	at(&c.Application.ManagementTokenNextFile)
	for _, s := range c.Sources {
		for f := range fields(s.Settings) {
			if f.tag.Get("path") != "" || f.tag.Get("credential") != "" {
				at(f.value.Addr().Interface().(*string))
			}
		}
	}
	for name, a := range c.Alerts {
		at(&a.URLFile)
		at(&a.TokenFile)
		c.Alerts[name] = a
	}
	return c
}

// DataFile is the path of the data file.
func (c Config) DataFile() string { return filepath.Join(c.DataDir, "plugbeat.db") }

// clone returns a copy that shares nothing with c.
func (c Config) clone() Config {
	sources, makes, alerts := map[string]Source{}, Makes{}, map[string]Alert{}
	for name, s := range c.Sources {
		sources[name] = s.clone()
	}
	maps.Copy(makes, c.Cadence.Makes)
	for name, a := range c.Alerts {
		a.Events = append([]string{}, a.Events...)
		alerts[name] = a
	}
	c.Sources, c.Cadence.Makes, c.Alerts = sources, makes, alerts
	c.Application.RedirectURIs = append([]string{}, c.Application.RedirectURIs...)
	c.Delivery.Allow = append([]string{}, c.Delivery.Allow...)
	c.Delivery.Retries = append(RetrySchedule{}, c.Delivery.Retries...)
	return c
}

// clone returns a copy whose settings are its own.
func (s Source) clone() Source {
	if s.Settings != nil {
		copied := reflect.New(reflect.TypeOf(s.Settings).Elem())
		copied.Elem().Set(reflect.ValueOf(s.Settings).Elem())
		s.Settings = copied.Interface().(vehicle.Settings)
	}
	return s
}
