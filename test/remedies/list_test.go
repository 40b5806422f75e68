// Package remedies holds the list of every command that plugbeat prints, as what to do
// next, as a remedy or as an example, and follows them on the real binary.
package remedies

// The states that commands are typed in, on one daemon. Each test of a state arranges it.
const (
	// running is a daemon with a verified webhook, fleet, and three vehicles on it.
	running = "running"
	// stopped is that daemon, stopped.
	stopped = "stopped"
	// told has a test of its own in follow_test.go.
	told = "told"
	// left is the old name of a command or flag; what stands behind it is another row.
	left = "left"
	// lasting is a command that goes on until Ctrl-C, or that changes the machine: its flags
	// are held against its help.
	lasting = "lasting"
)

// row is a printed command: the state that it is typed in, what is typed, and its exit code.
type row struct {
	state, typed string
	code         int
}

// list has every printed command by its name and its flags. HOOK, VEHICLE, DELIVERY, DIR,
// CONFIG and URI stand for those of the daemon.
var list = map[string]row{
	"alert list":   {running, "alert list", 0},
	"alert test":   {running, "alert test", 1}, // no target is set, and it says so
	"backup":       {running, "backup DIR/b.db", 0},
	"bridge":       {told, "", 0},
	"check":        {running, "check", 0},
	"check --data": {state: left},
	"check-config": {running, "check-config CONFIG", 0},
	"compact":      {stopped, "compact", 0},
	"completion":   {running, "completion bash", 0},
	"config check": {state: left},

	"config describe":                             {running, "config describe delivery.allow", 0},
	"delivery list":                               {running, "delivery list", 0},
	"delivery list --since":                       {running, "delivery list --since 1h", 0},
	"delivery list --since --state --webhook":     {running, "delivery list --webhook HOOK --state dead --since 1h", 0},
	"delivery list --state":                       {running, "delivery list --state waiting", 0},
	"delivery list --state --webhook":             {running, "delivery list --webhook HOOK --state dead", 0},
	"delivery resend":                             {running, "delivery resend DELIVERY", 0},
	"delivery resend --dry-run --since --webhook": {running, "delivery resend --webhook HOOK --since 1h --dry-run", 0},
	"delivery resend --since":                     {running, "delivery resend --webhook HOOK --since 1h --yes", 0},
	"delivery resend --since --webhook":           {running, "delivery resend --webhook HOOK --since 1h --yes", 0},
	"delivery resend --state --webhook":           {running, "delivery resend --webhook HOOK --state dead --yes", 0},
	"delivery show":                               {running, "delivery show DELIVERY", 0},
	"delivery show --json":                        {running, "delivery show DELIVERY --json", 0},
	"delivery tail":                               {state: lasting},
	"delivery tail --json --webhook":              {state: lasting},
	"delivery tail --webhook":                     {state: lasting},
	"demo":                                        {state: lasting},
	"demo --for --json --vehicles":                {state: lasting},
	"demo --source":                               {state: lasting},
	"doctor":                                      {running, "doctor", 0},
	"doctor --json":                               {running, "doctor --json", 0},
	"init":                                        {running, "init --dir DIR/other", 0},
	"init --dir":                                  {running, "init --dir DIR/other", 0},
	"init --dir --set --source":                   {running, "init --dir DIR/mqtt --source mqtt --set broker=mqtt://127.0.0.1", 0},
	"init --dir --source":                         {running, "init --dir DIR/scripts --source intake", 0},
	"init --purge --remove --systemd":             {state: lasting},
	"init --remove --systemd":                     {state: lasting},
	"init --systemd":                              {state: lasting},
	"listen":                                      {state: lasting},
	"listen --brief --fail":                       {state: lasting},
	"listen --delay":                              {state: left},
	"listen --fail-rate":                          {state: left},
	"listen --forward":                            {state: left},
	"restore":                                     {told, "", 0},
	"serve":                                       {state: lasting},
	"serve --config":                              {state: lasting},
	"status":                                      {running, "status", 0},
	"status --json":                               {running, "status --json", 0},
	"status --watch":                              {state: left},
	"subscribe":                                   {running, "subscribe HOOK VEHICLE", 0},
	"subscribe --all":                             {running, "subscribe HOOK --all", 0},
	"subscribe --all --spread":                    {running, "subscribe HOOK --all --spread 1h", 0},
	"token add":                                   {running, "token add app", 2}, // it says which kinds there are
	"token add --access":                          {running, "token add phone --access", 0},
	"token add --access --vehicle":                {running, "token add one --access --vehicle VEHICLE", 0},
	"token add --intake":                          {running, "token add nobody --intake", 1}, // it says which sources there are
	"token add --intake --source":                 {running, "token add shed --intake --source nobody", 1},
	"token add --scope":                           {running, "token add ops --scope read", 0},
	"token list":                                  {running, "token list", 0},
	"token rm --yes":                              {running, "token rm nobody --yes", 1},
	"source discover":                             {running, "source discover fleet", 1}, // it has no broker, and says so
	"source discover --broker":                    {running, "source discover --broker mqtt://127.0.0.1:1", 1},
	"source discover --add":                       {running, "source discover fleet --add", 1},
	"source discover --add --for":                 {running, "source discover fleet --for 1s --add", 1},
	"source list":                                 {running, "source list", 0},
	"source list --json":                          {running, "source list --json", 0},
	"source show":                                 {running, "source show fleet", 0},
	"source show --json":                          {running, "source show fleet --json", 0},
	"source try":                                  {running, "source try fleet DIR/recorded.log", 1}, // it has no maps
	"source try --changes":                        {running, "source try fleet DIR/recorded.log --changes", 1},
	"source watch":                                {state: lasting},
	"token rotate-management":                     {told, "", 0},
	"token rotate-management --finish":            {told, "", 0},
	"token rotate-management --finish --force":    {told, "", 0},
	"token rotate-management --try":               {told, "", 0},
	"unsubscribe":                                 {running, "unsubscribe HOOK VEHICLE", 0},

	"vehicle connect --now --source":                 {running, "vehicle connect --source fleet --now", 0},
	"vehicle connect --refresh-token-stdin --source": {state: lasting},
	"vehicle connect --source":                       {state: lasting},
	"vehicle disconnect --yes":                       {running, "vehicle disconnect 00000000-0000-4000-8000-000000000000 --yes", 1},
	"vehicle list":                                   {running, "vehicle list", 0},
	"vehicle list --json":                            {running, "vehicle list --json", 0},
	"vehicle history":                                {running, "vehicle history VEHICLE", 0},
	"vehicle history --csv --resolution --since":     {running, "vehicle history VEHICLE --csv --resolution 1h --since 1h", 0},
	"vehicle rename":                                 {running, "vehicle rename VEHICLE red", 0},
	"vehicle read":                                   {running, "vehicle read VEHICLE", 0},
	"vehicle read --ignore-retry-after":              {running, "vehicle read --ignore-retry-after VEHICLE", 0},
	"vehicle read --paths":                           {running, "vehicle read VEHICLE --paths charge", 0},
	"vehicle show":                                   {running, "vehicle show VEHICLE", 0},

	"webhook add": {state: lasting}, // it asks
	"webhook add --allow-private --callback --name":       {running, "webhook add --name b --callback URI --allow-private", 0},
	"webhook add --callback --every --name --type --zone": {running, "webhook add --name c --type schedule --callback https://example.com/h --every daily --zone Europe/Berlin", 0},
	"webhook add --callback --name":                       {running, "webhook add --name d --callback https://example.com/h", 0},
	"webhook change --allow-private --callback":           {told, "", 0},
	"webhook change --callback":                           {running, "webhook change d --callback https://example.com/i", 0},
	"webhook change --plugged-in":                         {running, "webhook change HOOK --plugged-in 15m", 0},
	"webhook disable":                                     {told, "", 0},
	"webhook enable":                                      {told, "", 0},
	"webhook enable --force":                              {told, "", 0},
	"webhook enable --recover":                            {running, "webhook enable HOOK --recover latest", 0},
	"webhook list":                                        {running, "webhook list", 0},
	"webhook list --json":                                 {running, "webhook list --json", 0},
	"webhook recover":                                     {running, "webhook recover HOOK", 0},
	"webhook recover --yes":                               {running, "webhook recover HOOK latest --yes", 0},
	"webhook rm --yes":                                    {running, "webhook rm d --yes", 0},
	"webhook rotate-key":                                  {told, "", 0},
	"webhook rotate-key --cancel":                         {told, "", 0},
	"webhook rotate-key --finish":                         {told, "", 0},
	"webhook rotate-key --finish --force":                 {state: lasting},
	"webhook rotate-key --try":                            {told, "", 0},
	"webhook show":                                        {running, "webhook show HOOK", 0},
	"webhook test":                                        {running, "webhook test HOOK", 0},
	"webhook verify":                                      {running, "webhook verify HOOK", 0},
}
