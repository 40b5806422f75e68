// Command trace prints what one delivery passes, from the due time to the commit of its
// outcome: the project's functions that were entered, by package, and the transactions of
// the data file. It runs the daemon with one simulated vehicle and a webhook of its own,
// clears the coverage counters before a due time and reads them after it.
//
//	go run -cover -covermode=atomic -coverpkg=plugbeat/...,go.etcd.io/bbolt ./tools/trace
//
// It takes a little over two minutes: one reading serves the due times of a minute.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime/coverage"
	"slices"
	"strconv"
	"strings"
	"time"

	"plugbeat/cli"
)

const token = "a-management-token-for-a-trace-00"

const settings = `data_dir: data
key_file: sealing_key
http:
  api: {listen: "127.0.0.1:0"}
  admin: {listen: "127.0.0.1:0"}
application:
  management_token_file: management_token
sources:
  sim: {type: simulator, vehicles: 1, seed: 1}
cadence: {unplugged: 2m, plugged_in: 2m}
`

// offset keeps the due time apart from what the daemon does every minute since its start.
const offset = 7 * time.Second

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "trace:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "trace")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	received := make(chan time.Time, 16)
	receiver := httptest.NewServer(receive(received))
	defer receiver.Close()
	config, stop, err := serve(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	time.Sleep(offset)
	for _, args := range [][]string{
		{"webhook", "add", "--name", "traced", "--allow-private", "--callback", receiver.URL},
		{"webhook", "verify", "traced"},
		{"subscribe", "traced", "--all"},
	} {
		if err := command(ctx, config, args...); err != nil {
			return err
		}
	}
	first := <-received
	time.Sleep(time.Until(first.Add(2*time.Minute - 500*time.Millisecond)))
	if err := coverage.ClearCounters(); err != nil {
		return fmt.Errorf("%w: run it as its comment says", err)
	}
	<-received
	time.Sleep(300 * time.Millisecond) // the outcome's commit
	if err := coverage.WriteMetaDir(dir); err != nil {
		return err
	}
	if err := coverage.WriteCountersDir(dir); err != nil {
		return err
	}
	return report(ctx, dir)
}

// receive answers challenges and takes deliveries.
func receive(received chan<- time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var message struct {
			EventName string `json:"eventName"`
			Payload   struct{ Challenge string }
		}
		_ = json.Unmarshal(body, &message)
		if message.EventName != "verify" {
			received <- time.Now()
			return
		}
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write([]byte(message.Payload.Challenge))
		_ = json.NewEncoder(w).Encode(map[string]string{"challenge": hex.EncodeToString(mac.Sum(nil))})
	}
}

// serve runs the daemon in this process and returns its config's name once it answers.
func serve(ctx context.Context, dir string) (config string, stop func(), err error) {
	config = filepath.Join(dir, "config.yaml")
	key := make([]byte, 32)
	for name, text := range map[string]string{"config.yaml": settings, "management_token": token + "\n",
		"sealing_key": base64.StdEncoding.EncodeToString(key) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	var said bytes.Buffer
	go func() {
		defer close(ended)
		cli.Run(ctx, cli.ReadBuild(""), []string{"serve", "--config", config}, strings.NewReader(""), io.Discard, &said)
	}()
	stop = func() { cancel(); <-ended }
	for range 100 {
		select {
		case <-ended:
			return "", nil, fmt.Errorf("serve ended: %s", said.String())
		case <-time.After(50 * time.Millisecond):
		}
		if command(ctx, config, "status") == nil {
			return config, stop, nil
		}
	}
	stop()
	return "", nil, fmt.Errorf("the daemon does not answer: %s", said.String())
}

// command runs one command of the command line against the daemon.
func command(ctx context.Context, config string, args ...string) error {
	var out bytes.Buffer
	if code := cli.Run(ctx, cli.ReadBuild(""), append(args, "--config", config), strings.NewReader(""), &out, &out); code != 0 {
		return fmt.Errorf("%s: exit code %d: %s", strings.Join(args, " "), code, out.String())
	}
	return nil
}

// report prints the functions that were entered since the counters were cleared.
func report(ctx context.Context, dir string) error {
	profile := filepath.Join(dir, "profile")
	if out, err := exec.CommandContext(ctx, "go", "tool", "covdata", "textfmt", "-i="+dir, "-o="+profile).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	counts, err := counted(profile)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "covdata", "func", "-i="+dir).Output()
	if err != nil {
		return err
	}
	entered, transactions := map[string][]string{}, map[string]int{}
	for line := range strings.Lines(string(out)) {
		// plugbeat/store/tx.go:12: Store.view 100.0%
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] == "0.0%" {
			continue
		}
		place := strings.TrimSuffix(fields[0], ":")
		switch name := fields[1]; {
		case strings.HasPrefix(place, "plugbeat/tools/"):
		case strings.HasPrefix(place, "plugbeat/"):
			file, _, _ := strings.Cut(place, ":")
			entered[path.Dir(file)] = append(entered[path.Dir(file)], path.Base(file)+" "+name)
		case strings.HasSuffix(name, "beginTx"), strings.HasSuffix(name, "beginRWTx"):
			transactions[name[strings.LastIndex(name, "begin"):]] = counts[place]
		}
	}
	total := 0
	for _, pkg := range slices.Sorted(maps.Keys(entered)) {
		slices.Sort(entered[pkg])
		total += len(entered[pkg])
		fmt.Printf("%4d  %s\n", len(entered[pkg]), pkg)
		for _, name := range entered[pkg] {
			fmt.Println("        " + name)
		}
	}
	fmt.Printf("%d functions of %d packages entered; %d read transactions, %d write transactions\n", total, len(entered),
		transactions["beginTx"], transactions["beginRWTx"])
	return nil
}

// counted returns how often the block that begins on a line was entered, by file:line.
func counted(profile string) (map[string]int, error) {
	text, err := os.ReadFile(profile)
	counts := map[string]int{}
	for line := range strings.Lines(string(text)) {
		// plugbeat/store/tx.go:12.34,15.2 3 7
		place, rest, ok := strings.Cut(line, ".go:")
		if fields := strings.Fields(rest); ok && len(fields) == 3 {
			at, _, _ := strings.Cut(fields[0], ".")
			n, _ := strconv.Atoi(fields[2])
			counts[place+".go:"+at] = max(n, counts[place+".go:"+at])
		}
	}
	return counts, err
}
