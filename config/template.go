package config

import (
	"strconv"
	"strings"
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

// InitOptions are what differs between the configs that init writes. Empty fields
// take the name of a file beside the config.
type InitOptions struct {
	DataDir             string // DataDirName
	KeyFile             string // KeyFileName
	ManagementTokenFile string // ManagementTokenFileName
	ClientSecretFile    string // "smartcar_client_secret"; in a comment
	// APIListen and AdminListen are host:port; empty takes the defaults.
	APIListen, AdminListen string
	// System leaves the files above to the standard places and to systemd's
	// credentials: the config of a daemon that systemd runs.
	System bool
	// Seed chooses the simulated cars; 0 takes 1.
	Seed uint64
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

{application}sources:
  # Three simulated cars, to see everything work without an account.
  cars:
    type: simulator
    vehicles: 3
    seed: {seed}
    # How long an hour of their lives takes: with 1m a day passes in 24 minutes.
    hour: 1h

  # Your cars at Smartcar: take the comment marks away, fill in the client id, write the
  # client secret into {secret_at}, restart, then: plugbeat vehicle connect --source smartcar
  # smartcar:
  #   type: smartcar
  #   client_id: your-client-id
{secret_line}
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

// Template returns the config that plugbeat init writes: a simulator source with
// three cars switched on, and a Smartcar source commented out.
func Template(o InitOptions) []byte {
	def := Default()
	or := func(s, otherwise string) string {
		if s == "" {
			s = otherwise
		}
		return quote(s)
	}
	seed := o.Seed
	if seed == 0 {
		seed = 1
	}
	text := folderHead + initBody
	application, secretAt, secretLine := folderApplication, "the file", "  #   client_secret_file: {secret_file}\n"
	if o.System {
		text = systemHead + initBody
		application, secretAt, secretLine = "", SecretsDirName+"/"+sourceCredential("smartcar"), ""
	}
	text = strings.NewReplacer("{application}", application, "{secret_at}", secretAt, "{secret_line}", secretLine).Replace(text)
	return []byte(strings.NewReplacer(
		"{data_dir}", or(o.DataDir, DataDirName),
		"{key_file}", or(o.KeyFile, KeyFileName),
		"{token_file}", or(o.ManagementTokenFile, ManagementTokenFileName),
		"{secret_file}", or(o.ClientSecretFile, "smartcar_client_secret"),
		"{api}", or(o.APIListen, def.HTTP.API.Listen),
		"{admin}", or(o.AdminListen, def.HTTP.Admin.Listen),
		"{seed}", strconv.FormatUint(seed, 10),
	).Replace(text))
}
