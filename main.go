// Plugbeat is a self-hosted daemon that reads vehicles and delivers signed
// webhooks at a cadence that follows the plug. This file only runs the command
// line; package cli holds the commands, package app the daemon.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"plugbeat/cli"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for a drain. From then on signals act as if nothing
	// caught them, so a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	code := cli.Run(ctx, cli.ReadBuild(version), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
