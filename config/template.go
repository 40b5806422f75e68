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

// InitOptions are what differs between the configs that init writes. Empty fields
// take the name of a file beside the config.
type InitOptions struct {
	DataDir             string // DataDirName
	KeyFile             string // KeyFileName
	ManagementTokenFile string // ManagementTokenFileName
	// APIListen and AdminListen are host:port; empty takes the defaults.
	APIListen, AdminListen string
	// System leaves the files above to the standard places and to systemd's
	// credentials: the config of a daemon that systemd runs.
	System bool
	// Sources are the sections of sources, as lines of their level.
	Sources string
}

const folderHead = `# Written by plugbeat init. Every other setting, its default and its meaning:
# config.example.yaml. After a change: plugbeat check-config FILE, then restart.

# Relative paths count from the folder this file is in.
data_dir: {data_dir}

# Seals tokens and signing keys in the data file. Keep a copy of it elsewhere: without
# it a backup of the data file is of no use.
key_file: {key_file}

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
  management_token_file: {token_file}
  # For applications that log in as at Smartcar (docs/connect.md of plugbeat):
  # client_id: your-application
  # client_secret_file: client_secret
  # redirect_uris: [https://app.example.com/exchange]

`

// Template returns the config that plugbeat init writes.
func Template(o InitOptions) []byte {
	def := Default()
	or := func(s, otherwise string) string {
		if s == "" {
			s = otherwise
		}
		return quote(s)
	}
	text, application := folderHead+initBody, folderApplication
	if o.System {
		text, application = systemHead+initBody, ""
	}
	text = strings.NewReplacer("{application}", application, "{sources}", o.Sources).Replace(text)
	return []byte(strings.NewReplacer(
		"{data_dir}", or(o.DataDir, DataDirName),
		"{key_file}", or(o.KeyFile, KeyFileName),
		"{token_file}", or(o.ManagementTokenFile, ManagementTokenFileName),
		"{api}", or(o.APIListen, def.HTTP.API.Listen),
		"{admin}", or(o.AdminListen, def.HTTP.Admin.Listen),
	).Replace(text))
}
