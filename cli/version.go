package cli

import (
	"runtime"
	"runtime/debug"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
)

// ReadBuild returns the running binary's build; version is the one set by the
// linker, empty for none.
func ReadBuild(version string) terminal.Build {
	b := terminal.Build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, kv := range info.Settings {
			switch kv.Key {
			case "vcs.revision":
				b.Revision = kv.Value
			case "vcs.modified":
				b.Modified = kv.Value == "true"
			}
		}
		if v := info.Main.Version; b.Version == "" && v != "" && v != "(devel)" {
			b.Version = v
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

func versionCommand(s *terminal.Session) *ucli.Command {
	return &ucli.Command{
		Name:  "version",
		Usage: "print the version of this binary",
		CustomHelpTemplate: terminal.Example(`
plugbeat version
plugbeat version --json`),
		Action: func(c *ucli.Context) error {
			if err := terminal.WantArgs(c, 0, 0); err != nil {
				return err
			}
			return s.Print(c, s.Build, func(p *terminal.Page) {
				p.Line("plugbeat %s", s.Build.Version)
				revision := s.Build.Revision
				if s.Build.Modified {
					revision += " (modified)"
				}
				p.Fields([2]string{"revision", revision}, [2]string{"go", s.Build.Go}, [2]string{"platform", s.Build.Platform})
			})
		},
	}
}
