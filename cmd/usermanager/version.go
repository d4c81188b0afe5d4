package main

import (
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"usermanager/gen/api"
)

// version is set by the build, with -ldflags "-X main.version=v1.2.3": see Taskfile.yml. Nothing else writes it.
var version string

// buildVersion is version or, for a plain go build, what the toolchain recorded.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// contractVersion is info.version of openapi.yaml: the release that /openapi.yaml and /docs name.
func contractVersion() (string, error) {
	spec, err := api.GetSpec()
	if err != nil {
		return "", fmt.Errorf("load openapi.yaml: %w", err)
	}
	return spec.Info.Version, nil
}

// release is a build of a tag; between tags git describes, and Go makes up, versions that are none.
var release = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)$`)

// checkRelease refuses a release whose documents would name another one.
func checkRelease(build, contract string) error {
	if match := release.FindStringSubmatch(build); len(match) == 2 && match[1] != contract {
		return fmt.Errorf("this build is release %s, but info.version of its openapi.yaml is %s: set it, run `task generate`, and move the tag", build, contract)
	}
	return nil
}

func (p process) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary and of its contract",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			contract, err := contractVersion()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "usermanager %s (%s %s/%s), contract %s\n",
				buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, contract)
			if err != nil {
				return err
			}
			return checkRelease(buildVersion(), contract)
		},
	}
}
