// Command bench measures plugbeat and prints one table: how fast it delivers
// against a bare client and a bare bbolt loop, how late a delivery is, what it
// costs at rest, on the disk and at a start, and what a slow or a returning
// receiver does.
//
//	go run ./tools/bench                                 every figure, about ten minutes
//	go run ./tools/bench -quick                          that it runs at all, about 20 s
//	go run ./tools/bench -write docs/dev/performance.md      every figure, into that page
//	go run ./tools/bench -compare docs/dev/performance.md    every figure, its ratios held against that page's
//	go run ./tools/bench -only throughput -profile DIR   one figure, with CPU profiles of the daemon
//
// What is measured is the built binary in a process of its own, under the config
// that init writes but for the fleet, over a real data file on the disk of TMPDIR
// and loopback sockets. The receiver is a second process, the same one for each side
// of a comparison; it checks SC-Signature and notes when a request had arrived. The
// data file is filled before the daemon starts, with subscriptions that come due once it
// runs, so no rule of the product is loosened to make a load: the floor of a minute,
// eight in flight a webhook, one a vehicle.
//
// No figure is a pass or a fail: it depends on the machine, and on who else is using
// it. Ratios within one run are what can be compared, and -compare does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"plugbeat/cli"
)

// The process plays one of three parts, chosen by its first argument.
const (
	partReceiver = "receiver" // takes what is sent
	partServe    = "serve"    // plugbeat's own serve, with a CPU profile
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case partReceiver:
			os.Exit(exitCode(receive(ctx, os.Stdin, os.Stdout)))
		case partServe:
			os.Exit(profiled(ctx, os.Args[1:]))
		}
	}
	os.Exit(exitCode(run(ctx)))
}

func exitCode(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// bench is one run.
type bench struct {
	quick    bool
	rounds   int
	dir      string // of everything that is written
	binary   string // plugbeat's
	self     string // this program's
	profiles string // where profiles go, empty for none
	receiver *receiver
	folders  int
}

// figure is one thing to measure; it adds rows to the table.
type figure struct {
	name    string
	measure func(*bench, context.Context, *table) error
}

func figures() []figure {
	return []figure{
		{"throughput", (*bench).throughput},
		{"latency", (*bench).latency},
		{"alone", (*bench).alone},
		{"idle", (*bench).idle},
		{"start", (*bench).start},
		{"beside", (*bench).beside},
		{"tarpit", (*bench).tarpit},
		{"outage", (*bench).outage},
		{"exhausted", (*bench).exhausted},
		{"pushed", (*bench).pushed},
		{"history", (*bench).history},
	}
}

func run(ctx context.Context) (err error) {
	b := &bench{}
	var only, write, against string
	var names []string
	for _, f := range figures() {
		names = append(names, f.name)
	}
	flag.BoolVar(&b.quick, "quick", false, "small loads and short times: shows that every figure can be taken, and measures nothing")
	flag.IntVar(&b.rounds, "rounds", 3, "how often throughput, beside and tarpit are measured; their medians are printed")
	flag.StringVar(&only, "only", "", "the figures to take, by commas: "+strings.Join(names, ", "))
	flag.StringVar(&write, "write", "", "put the table between the marks in this Markdown `FILE` too")
	flag.StringVar(&against, "compare", "", "hold the ratios against the table that this Markdown `FILE` keeps; "+
		"one worse by more than a fifth, and beyond its aim, ends with 1")
	flag.StringVar(&b.profiles, "profile", "", "write CPU profiles of the daemon into `DIR`; "+
		"the figures are then this program's, not the binary's")
	flag.Parse()
	if flag.NArg() > 0 || b.rounds < 1 {
		return errors.New("no arguments, and one round or more; see -help")
	}
	if write != "" && (b.quick || only != "") {
		return errors.New("-write keeps a whole table: leave out -quick and -only")
	}
	if against != "" && (b.quick || write != "") {
		return errors.New("-compare needs figures, and the last ones: leave out -quick and -write")
	}
	if b.quick {
		b.rounds = 1
	}
	chosen := names
	if only != "" {
		chosen = strings.Split(only, ",")
	}
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-only %s: allowed: %s", name, strings.Join(names, ", "))
		}
	}
	// A unix socket's path is short, and so is this one.
	if b.dir, err = os.MkdirTemp("", "pbb"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.receiver.close()

	t := &table{}
	if err := t.machine(ctx, b.dir); err != nil {
		return err
	}
	for _, f := range figures() {
		if !slices.Contains(chosen, f.name) {
			continue
		}
		begin := time.Now()
		if err := f.measure(b, ctx, t); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%s: %w", f.name, err)
		}
		note("%s took %v", f.name, time.Since(begin).Round(time.Second))
	}
	fmt.Print(t.markdown())
	if against != "" {
		text, worse, err := t.compare(against)
		if err != nil {
			return err
		}
		fmt.Print("\n", text)
		if worse > 0 {
			return fmt.Errorf("%d of the ratios are worse than those of %s", worse, against)
		}
	}
	if write != "" {
		return t.keep(write)
	}
	return nil
}

// prepare builds plugbeat and starts the receiver.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	b.binary = filepath.Join(b.dir, "plugbeat")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.binary, "plugbeat")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // static, as it is shipped
	out, err := build.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if b.profiles != "" {
		if b.profiles, err = filepath.Abs(b.profiles); err != nil {
			return err
		}
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return err
		}
	}
	b.receiver, err = startReceiver(ctx, b.self)
	return err
}

// profiled is plugbeat serve with profiles of the whole process.
func profiled(ctx context.Context, args []string) int {
	stop, err := startProfile(os.Getenv(profileVariable))
	if err != nil {
		return exitCode(err)
	}
	code := cli.Run(ctx, cli.ReadBuild("bench"), args, os.Stdin, os.Stdout, os.Stderr)
	return max(code, exitCode(stop()))
}

// note tells of progress; the table alone goes to standard output.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
