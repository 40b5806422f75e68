package config

import "strings"

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

{application}# Where vehicles come from. plugbeat init (with --source NAME) adds a source; docs/sources.md of plugbeat
# has all that there is to set.
sources:
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

// Template returns the config that plugbeat init writes, with the sections of sources as lines
// of their level. Its files are beside it; with system they are at the standard places and its
// secrets are credentials, as for a daemon that systemd runs.
func Template(system bool, sources string) []byte {
	text, application := folderHead+initBody, folderApplication
	if system {
		text, application = systemHead+initBody, ""
	}
	listen := Default().HTTP
	return []byte(strings.NewReplacer(
		"{application}", application,
		"{sources}", sources,
		"{api}", listen.API.Listen,
		"{admin}", listen.Admin.Listen,
	).Replace(text))
}
