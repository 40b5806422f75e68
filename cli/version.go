package cli

import (
	"runtime"
	"runtime/debug"

	ucli "github.com/urfave/cli/v2"
)

// Build says which plugbeat this is.
type Build struct {
	Version  string `json:"version"`            // "1.2.3", or "devel" for a build without one
	Revision string `json:"revision,omitempty"` // the commit, where the build knew it
	Modified bool   `json:"modified,omitempty"` // the tree had changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild returns the running binary's build; version is the one set by the
// linker, empty for none.
func ReadBuild(version string) Build {
	b := Build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
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

func (s *shell) versionCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "version",
		Usage: "print the version of this binary",
		CustomHelpTemplate: example(`
plugbeat version
plugbeat version --json`),
		Action: func(c *ucli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return s.print(c, s.build, func(p *page) {
				p.line("plugbeat %s", s.build.Version)
				revision := s.build.Revision
				if s.build.Modified {
					revision += " (modified)"
				}
				p.fields([2]string{"revision", revision}, [2]string{"go", s.build.Go}, [2]string{"platform", s.build.Platform})
			})
		},
	}
}
