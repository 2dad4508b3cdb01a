package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/metrics"
)

func newVersionCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print what this program was built from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := output{cmd.OutOrStdout(), asJSON}
			b := buildInfo()
			text := fmt.Sprintf("kadnode %s %s %s/%s", b.Version, b.GoVersion, runtime.GOOS, runtime.GOARCH)
			if b.Revision != "" {
				text += " " + b.Revision
			}
			return out.print(text, struct {
				Version   string `json:"version"`
				GoVersion string `json:"goversion"`
				OS        string `json:"os"`
				Arch      string `json:"arch"`
				Revision  string `json:"revision"`
			}{b.Version, b.GoVersion, runtime.GOOS, runtime.GOARCH, b.Revision})
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// buildInfo returns what the Go toolchain has noted in the binary.
func buildInfo() metrics.BuildInfo {
	out := metrics.BuildInfo{Version: "(devel)", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	if info.Main.Version != "" {
		out.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			out.Revision = s.Value + out.Revision
		case s.Key == "vcs.modified" && s.Value == "true":
			out.Revision += "+dirty"
		}
	}
	return out
}
