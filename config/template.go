package config

import (
	"strings"

	"plugbeat/vehicle"
	"plugbeat/vehicle/all"
)

// The names of the files that init writes.
const (
	FileName                = "config.yaml"
	DataDirName             = "data"
	KeyFileName             = "sealing_key"
	ManagementTokenFileName = "management_token"
	// SecretsDirName is the folder beside the config whose files systemd hands to the
	// daemon as credentials, each under its own name.
	SecretsDirName = "secrets"
)

const folderHead = `# Written by plugbeat init. Every other setting, its default and its meaning:
# config.example.yaml. After a change: plugbeat check-config FILE, then restart.

# Relative paths count from the folder this file is in.
data_dir: ` + DataDirName + `

# Seals tokens and signing keys in the data file. Keep a copy of it elsewhere: without
# it a backup of the data file is of no use.
key_file: ` + KeyFileName + `

`

const systemHead = `# Written by plugbeat init --systemd. Every other setting, its default and its meaning:
# config.example.yaml. After a change: plugbeat check-config, then
# systemctl restart plugbeat, which loses nothing.

data_dir: ` + standardDataDir + `
socket: ` + standardSocket + `

# The daemon's secrets are files in the folder secrets beside this one, which only root
# reads; systemd hands them over as credentials. sealing_key seals tokens and signing
# keys in the data file: keep a copy of it elsewhere, without it a backup of the data
# file is of no use. management_token is the key of SC-Signature and of the challenge:
# give its content to your receivers.

`

const initBody = `http:
  api:
    listen: {api}
  admin:
    listen: {admin}

{application}sources:
{sources}
# How often, each a duration or a cron expression. The floor is one minute.
cadence:
  unplugged: 1h
  plugged_in: 30m
`

const folderApplication = `application:
  # The key of SC-Signature and of the challenge; give its content to your receivers.
  management_token_file: ` + ManagementTokenFileName + `
  # For applications that log in as at Smartcar (docs/connect.md of plugbeat):
  # client_id: your-application
  # client_secret_file: client_secret
  # redirect_uris: [https://app.example.com/exchange]

`

// Template returns the config that plugbeat init writes, with the sections of the kinds
// of sources that have one. Its files are beside it; with system they are at the standard
// places and its secrets are credentials, as for a daemon that systemd runs.
func Template(system bool) []byte {
	text, application := folderHead+initBody, folderApplication
	if system {
		text, application = systemHead+initBody, ""
	}
	var sections []string
	for _, k := range all.Kinds() {
		sections = append(sections, section(k, system))
	}
	listen := Default().HTTP
	return []byte(strings.NewReplacer(
		"{application}", application,
		"{sources}", strings.Join(sections, "\n"),
		"{api}", listen.API.Listen,
		"{admin}", listen.Admin.Listen,
	).Replace(text))
}

// section is a kind's part of the config that init writes. system leaves out the lines
// that name the files of secrets, which systemd hands over.
func section(k vehicle.Kind, system bool) string {
	files := map[string]string{}
	for f := range fields(k.Settings()) {
		if what := f.tag.Get("credential"); what != "" {
			files["{"+f.key+"}"] = sourceCredential(k.Example, what)
		}
	}
	var b strings.Builder
	for line := range strings.Lines(k.Section) {
		left := false
		for hole, file := range files {
			if system {
				left = left || strings.HasSuffix(line, ": "+hole+"\n")
				file = SecretsDirName + "/" + file
			}
			line = strings.ReplaceAll(line, hole, file)
		}
		if !left {
			b.WriteString("  " + line)
		}
	}
	return b.String()
}
