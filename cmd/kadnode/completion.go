package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addCompletion adds what makes a shell complete the command line.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			// Else cobra shows the help, with status 0, for a shell that there is not.
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	eachFlag(root, func(cmd *cobra.Command, f *pflag.Flag) {
		if choice, ok := f.Value.(*choiceValue); ok {
			complete := cobra.FixedCompletions(choice.of, cobra.ShellCompDirectiveNoFileComp)
			if err := cmd.RegisterFlagCompletionFunc(f.Name, complete); err != nil {
				panic(err) // registered twice
			}
		}
	})
}

// completes tells whether the command line comes from a shell that completes another.
func completes(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}, args[0])
}

// unquoteUsages takes the backquotes, which mark the name of a flag's value in the help,
// out of what a shell shows.
func unquoteUsages(root *cobra.Command) {
	eachFlag(root, func(_ *cobra.Command, f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) })
}

// eachFlag calls f for the flags of cmd and its subcommands.
func eachFlag(cmd *cobra.Command, f func(*cobra.Command, *pflag.Flag)) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { f(cmd, flag) })
	for _, sub := range cmd.Commands() {
		eachFlag(sub, f)
	}
}
