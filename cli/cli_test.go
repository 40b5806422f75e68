package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"plugbeat/cli/clitest"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"plugbeat": func() {
			b := ReadBuild("1.2.3")
			os.Exit(Run(context.Background(), b, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the command lines that need no daemon, as processes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *clitest.Update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PLUGBEAT_CONFIG", "")
			e.Setenv("PLUGBEAT_SOCKET", "")
			sound, err := soundFile(true)
			if err != nil {
				return err
			}
			grown, err := soundFile(false)
			if err != nil {
				return err
			}
			// Its key is 32 bytes of 7.
			return errors.Join(os.WriteFile(filepath.Join(e.WorkDir, "sound.db"), sound, 0o600), os.WriteFile(filepath.Join(e.WorkDir, "grown.db"), grown, 0o600),
				os.WriteFile(filepath.Join(e.WorkDir, "v1.key"), bytes.Repeat([]byte{7}, 32), 0o600))
		},
	})
}
