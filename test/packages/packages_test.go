//go:build linux

// Package packages holds the test of what packaging/build makes: static binaries that
// start, packages with what belongs in them, the tag's version, and the same bytes in
// another folder.
package packages

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"plugbeat/systemd"
)

var build = flag.Bool("build", false, "build the packages of the last commit, twice, and look at them")

const version = "1.2.3"

// TestPackages builds the last commit, tagged, in two folders.
func TestPackages(t *testing.T) {
	if !*build {
		t.Skip("skipped: it builds the binaries and packages of three architectures twice, for a minute or more: go test ./test/packages -build -v")
	}
	one, two := clone(t, "one"), clone(t, "another-folder/with/a/longer/path")
	versions(t, one)
	for _, dir := range []string{one, two} {
		run(t, dir, "git", "tag", "v"+version)
		began := time.Now()
		out := run(t, dir, "packaging/build")
		t.Logf("built in %s:\n%s", time.Since(began).Round(time.Second), out)
	}
	t.Run("the same bytes in another folder", func(t *testing.T) { same(t, filepath.Join(one, "dist"), filepath.Join(two, "dist")) })
	for arch, machine := range map[string]struct {
		elf  elf.Machine
		qemu string // Debian's name of the emulator
		own  string // GOARCH that needs none
	}{
		"amd64": {elf.EM_X86_64, "qemu-x86_64-static", "amd64"},
		"arm64": {elf.EM_AARCH64, "qemu-aarch64-static", "arm64"},
		"armv7": {elf.EM_ARM, "qemu-arm-static", "arm"},
	} {
		t.Run(arch, func(t *testing.T) {
			binary := filepath.Join(one, "dist", "plugbeat-"+version+"-linux-"+arch)
			static(t, binary, machine.elf)
			if runtime.GOARCH == machine.own {
				starts(t, binary)
			} else if qemu, err := exec.LookPath(machine.qemu); err == nil {
				starts(t, qemu, binary)
			} else {
				t.Skipf("not started: there is no %s here; it is in Debian's package qemu-user-static", machine.qemu)
			}
		})
	}
	t.Run("deb", func(t *testing.T) { debs(t, one) })
	t.Run("rpm", func(t *testing.T) { rpms(t, one) })
}

// clone is a checkout of the last commit.
func clone(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	run(t, ".", "git", "clone", "-q", "../..", dir)
	return dir
}

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DIST=", "VERSION=", "SOURCE_DATE_EPOCH=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// versions holds that a tag's commit has the tag's version, and the commits after it
// versions that sort after it and before the next.
func versions(t *testing.T, dir string) {
	t.Helper()
	of := func() string { return run(t, dir, "packaging/build", "version") }
	author := []string{"-c", "user.name=test", "-c", "user.email=test@localhost"}
	head := run(t, dir, "git", "rev-parse", "HEAD")
	var order []string
	for _, tag := range []string{"", "v1.0.0-rc.1", "v1.0.0", ""} {
		run(t, dir, append(append([]string{"git"}, author...), "commit", "-q", "--allow-empty", "-m", "x")...)
		if tag != "" {
			run(t, dir, "git", "tag", tag)
		}
		v := of()
		if tag != "" && v != tag[1:] {
			t.Errorf("the version at %s is %s", tag, v)
		}
		order = append(order, strings.Replace(v, "-", "~", 1))
	}
	if last := order[3]; !strings.HasPrefix(last, "1.0.0+1.g") || !strings.HasPrefix(order[0], "0.0.0+") {
		t.Errorf("between tags the versions are %q", order)
	}
	if _, err := exec.LookPath("dpkg"); err == nil {
		for i := 1; i < len(order); i++ {
			if err := exec.Command("dpkg", "--compare-versions", order[i-1], "lt", order[i]).Run(); err != nil {
				t.Errorf("to dpkg %s is not before %s", order[i-1], order[i])
			}
		}
	}
	run(t, dir, "git", "tag", "-d", "v1.0.0-rc.1", "v1.0.0")
	run(t, dir, "git", "reset", "-q", "--hard", head)
}

func same(t *testing.T, one, two string) {
	a, b := sums(t, one), sums(t, two)
	if len(a) != 3*3+1 {
		t.Errorf("%d files were made", len(a))
	}
	for name, sum := range a {
		if b[name] != sum {
			t.Errorf("%s has other bytes in another folder", name)
		}
	}
	if len(b) != len(a) {
		t.Errorf("%d files, and %d in another folder", len(a), len(b))
	}
}

func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		out[f.Name()] = sum(t, filepath.Join(dir, f.Name()))
	}
	return out
}

func sum(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// static holds that a binary is of its architecture and needs no library.
func static(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	libs, err := f.ImportedLibraries()
	if f.Machine != machine || len(libs) > 0 {
		t.Errorf("%s is of %s and wants %q, %v", path, f.Machine, libs, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s is loaded by an interpreter", path)
		}
	}
}

// starts runs a binary, by an emulator or not, as a daemon, and asks it.
func starts(t *testing.T, command ...string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cfg := filepath.Join(dir, "config.yaml")
	typed := func(args ...string) *exec.Cmd {
		cmd := exec.Command(command[0], append(append([]string{}, command[1:]...), args...)...)
		cmd.Env = append(os.Environ(), "PLUGBEAT_CONFIG="+cfg)
		return cmd
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := typed(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	var v struct{ Version, Revision string }
	if err := json.Unmarshal([]byte(must("version", "--json")), &v); err != nil || v.Version != version || len(v.Revision) != 40 {
		t.Errorf("its version is %+v, %v", v, err)
	}
	must("init", "--dir", dir)
	text, err := os.ReadFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg, []byte(strings.NewReplacer(":8765", ":0", ":8766", ":0").Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := typed("serve")
	var log strings.Builder
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, err := typed("status").CombinedOutput()
		if err == nil {
			if !strings.Contains(string(out), "all is well") || !strings.Contains(string(out), version) {
				t.Errorf("status:\n%s", out)
			}
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("serve ended: %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(end) {
			_ = serve.Process.Kill()
			err := <-ended
			t.Fatalf("no answer within a minute (%v): %s\n%s", err, out, log.String())
		}
	}
	_ = serve.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, log.String())
	}
	if out := must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check: %s", out)
	}
	t.Logf("started by %s", filepath.Base(command[0]))
}

// installed is what both kinds of package hold, beside completions and texts, and
// from where it is.
var installed = map[string]string{
	"/usr/lib/systemd/system/plugbeat.service": "systemd/plugbeat.service",
	"/usr/lib/sysusers.d/plugbeat.conf":        "systemd/plugbeat.sysusers",
	"/usr/share/doc/plugbeat/README.md":        "README.md",
}

func debs(t *testing.T, dir string) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("skipped: there is no dpkg-deb here")
	}
	for arch, binary := range map[string]string{"amd64": "amd64", "arm64": "arm64", "armhf": "armv7"} {
		file := filepath.Join(dir, "dist", fmt.Sprintf("plugbeat_%s_%s.deb", version, arch))
		fields := run(t, dir, "dpkg-deb", "--showformat", "${Package} ${Version} ${Architecture} ${Depends}", "--show", file)
		if want := fmt.Sprintf("plugbeat %s %s systemd (>= %d)", version, arch, systemd.MinVersion); !strings.HasPrefix(fields, want) {
			t.Errorf("%s says %q, want %q", file, fields, want)
		}
		if conffiles, err := exec.Command("dpkg-deb", "--info", file, "conffiles").Output(); err == nil {
			t.Errorf("%s has files that an upgrade would ask about:\n%s", file, conffiles)
		}
		out := filepath.Join(t.TempDir(), arch)
		run(t, dir, "dpkg-deb", "--extract", file, out)
		for path, from := range installed {
			if sum(t, out+path) != sum(t, filepath.Join(dir, from)) {
				t.Errorf("%s: %s is not %s", file, path, from)
			}
		}
		if sum(t, out+systemd.PackagedExe) != sum(t, filepath.Join(dir, "dist", "plugbeat-"+version+"-linux-"+binary)) {
			t.Errorf("%s has another binary", file)
		}
		for _, path := range []string{"/usr/share/bash-completion/completions/plugbeat", "/usr/share/zsh/vendor-completions/_plugbeat", "/usr/share/fish/vendor_completions.d/plugbeat.fish", "/usr/share/doc/plugbeat/copyright"} {
			if info, err := os.Stat(out + path); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("%s: %s: %v", file, path, err)
			}
		}
	}
}

func rpms(t *testing.T, dir string) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("skipped: there is no rpm here; it is in Debian's package rpm")
	}
	for arch, binary := range map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7hl": "armv7"} {
		file := filepath.Join(dir, "dist", fmt.Sprintf("plugbeat-%s-1.%s.rpm", version, arch))
		run(t, dir, "rpm", "--checksig", file)
		if got := run(t, dir, "rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{ARCH} %{BUILDHOST}", file); got != "plugbeat "+version+" "+arch+" plugbeat" {
			t.Errorf("%s says %q", file, got)
		}
		if got := run(t, dir, "rpm", "-qp", "--requires", file); !strings.Contains(got, fmt.Sprintf("systemd >= %d", systemd.MinVersion)) {
			t.Errorf("%s requires %q", file, got)
		}
		digests := map[string]string{}
		for line := range strings.Lines(run(t, dir, "rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEDIGESTS}\n]", file)) {
			if path, digest, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				digests[path] = digest
			}
		}
		for path, from := range installed {
			if digests[path] != sum(t, filepath.Join(dir, from)) {
				t.Errorf("%s: %s is not %s", file, path, from)
			}
		}
		if digests[systemd.PackagedExe] != sum(t, filepath.Join(dir, "dist", "plugbeat-"+version+"-linux-"+binary)) {
			t.Errorf("%s has another binary", file)
		}
		for _, path := range []string{"/usr/share/bash-completion/completions/plugbeat", "/usr/share/zsh/site-functions/_plugbeat", "/usr/share/fish/vendor_completions.d/plugbeat.fish", "/usr/share/licenses/plugbeat/LICENSE"} {
			if digests[path] == "" {
				t.Errorf("%s has no %s", file, path)
			}
		}
	}
}

// Every script of the packages is one that a shell reads.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("../../packaging/*/*")
	if err != nil || len(scripts) < 7 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	for _, path := range append(scripts, "../../packaging/build") {
		shell := "sh"
		if strings.HasSuffix(path, "build") {
			shell = "bash"
		}
		if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil && !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
}
