package main

import (
	"github.com/spf13/cobra"
)

// newRootCommand returns the whole command line.
func newRootCommand() *cobra.Command {
	root := newRunCommand("kadnode")
	root.Long = `Kadnode is a node of the BitTorrent mainline DHT and a distributed tracker.

Without a subcommand it runs the node, as "kadnode run" does. Every flag of "run"
can also be given in the environment, as KADNODE_ and its name in capitals with "_"
for "-", and in the file named by --config, a TOML file with the flags' names as
keys. A flag beats the environment, which beats the file.

The environment counts for testnet too, and for the commands that start a temporary
node: ping, find-node, get-peers, announce, scrape, sample, put and get. Two flags of
these are flags only: KADNODE_LISTEN is for the node that runs, and KADNODE_PORT belongs
to Kubernetes.

Exit status: 0 done, 1 not found, not reached or not able to run, 2 wrong usage.`
	root.Version = buildInfo().Version
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newRunCommand("run"),
		newPingCommand(),
		newFindNodeCommand(),
		newGetPeersCommand(),
		newAnnounceCommand(),
		newScrapeCommand(),
		newSampleCommand(),
		newKeygenCommand(),
		newPutCommand(),
		newGetCommand(),
		newKeptCommand(),
		newTestnetCommand(),
		newSimCommand(),
		newBenchCommand(),
		newBenchEchoCommand(),
		newHealthcheckCommand(),
		newVersionCommand(),
	)
	addCompletion(root)
	markUsage(root)
	return root
}

// markUsage makes wrong arguments of cmd and its subcommands wrong usage.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markUsage(sub)
	}
}
