package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia/sim/scenario"
)

// simOptions are the flags of sim.
type simOptions struct {
	scenario string
	nodes    int
	seed     uint64
	minutes  int
	lookups  int
	loss     float64
	session  time.Duration
	shape    float64
	family   string
	hasty    bool
	json     bool

	plot  string
	soak  time.Duration
	seeds int
}

func (o *simOptions) addFlags(fs *pflag.FlagSet) {
	o.scenario, o.family = "calm", scenario.V4.String()
	fs.Var(nameValue{choiceValue{&o.scenario, scenario.Names()}}, "scenario", "what goes wrong: see above")
	fs.Var(&intValue{&o.nodes, 3, 1_000_000}, "nodes", "programs at a time (default 100, or what the seed draws)")
	fs.Uint64Var(&o.seed, "seed", 1, "what all chance comes from; of --soak the first one, at random unless given")
	fs.Var(&intValue{&o.minutes, 1, 100_000}, "minutes", "virtual time in which things go wrong (default 60, less of more than 2000 nodes, or what the seed draws)")
	fs.Var(&intValue{&o.lookups, 1, 10_000_000}, "lookups", "get_peers an hour, of all programs together (default 6 a program, up to 10000 in all)")
	fs.Var(&shareValue{&o.loss}, "loss", "share of the datagrams that are lost, each way, beside the scenario's")
	fs.DurationVar(&o.session, "session", 0, "mean `time` that programs live: churn, in any scenario")
	fs.Float64Var(&o.shape, "shape", 0, "of the lengths of these sessions (Weibull); 1: exponential")
	fs.Var(&choiceValue{&o.family, scenario.FamilyNames()}, "family", "addresses of the hosts")
	fs.BoolVar(&o.hasty, "skip-final", false, "end with the last fault: do not settle, nor ask whether all is found then (default of more than 10000 nodes)")
	fs.StringVar(&o.plot, "plot", "", "also run smaller worlds and shorter sessions, and draw all as SVG into a `directory`")
	fs.DurationVar(&o.soak, "soak", 0, "run random worlds with random faults for a `time`, on all cores")
	fs.Var(&intValue{&o.seeds, 1, 1_000_000_000}, "soak-seeds", "run that many of them")
}

func newSimCommand() *cobra.Command {
	o := new(simOptions)
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run a simulated network in which things go wrong",
		Long:  simHelp(),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			s := &simulation{o: o, out: output{cmd.OutOrStdout(), o.json}, stderr: cmd.ErrOrStderr()}
			run := s.runOne
			if o.soaks() {
				run = s.soak
			}
			defer heapOfWorlds(o.nodes)()
			err := run(cmd.Context())
			if cmd.Context().Err() != nil {
				return errors.New("interrupted")
			}
			return err
		},
	}
	cmd.Flags().SortFlags = false
	o.addFlags(cmd.Flags())
	addJSONFlag(cmd, &o.json)
	return cmd
}

func simHelp() string {
	var b strings.Builder
	b.WriteString(`Run whole programs (node, tracker, items, journal) by the thousand on a simulated
network, in virtual time, and let things go wrong. The same seed gives the same run. What
must be true in any world is checked all the time; what is acknowledged must be found once
the world has settled. If something does not hold, the exit status is 1, and told is how to
replay it.

Scenarios:
`)
	for _, name := range scenario.Names() {
		s, _ := scenario.Named(name)
		fmt.Fprintf(&b, "  %-11s %s\n", name, s.About)
	}
	return b.String()
}

// soaks tells whether random worlds are wanted.
func (o *simOptions) soaks() bool { return o.soak > 0 || o.seeds > 0 }

// mayChurn tells whether programs come and go in the scenario.
func (o *simOptions) mayChurn() bool { return o.scenario == "churn" || o.scenario == "everything" }

// ofOneRun are the flags that do not go with random worlds.
var ofOneRun = [...]string{"scenario", "nodes", "minutes", "lookups", "loss", "session", "shape", "family", "skip-final", "plot"}

func (o *simOptions) check(fs *pflag.FlagSet) error {
	switch {
	case fs.Changed("soak") && o.soak <= 0:
		return usagef("--soak %v: want more than 0", o.soak)
	case o.soak > 0 && o.seeds > 0:
		return usagef("--soak and --soak-seeds do not go together")
	case fs.Changed("shape") && !(o.shape >= .1 && o.shape <= 10):
		return usagef("--shape %v: want 0.1 to 10", o.shape)
	case o.shape > 0 && o.session == 0 && !o.mayChurn():
		return usagef("--shape is of the sessions of churn: give --session too")
	case fs.Changed("session") && o.session < time.Minute:
		return usagef("--session %v: want a minute at least", o.session)
	case fs.Changed("plot") && o.plot == "":
		return usagef("--plot: want the name of a directory")
	}
	for _, name := range ofOneRun {
		if o.soaks() && fs.Changed(name) {
			return usagef("--%s does not go with random worlds", name)
		}
	}
	if !fs.Changed("skip-final") {
		o.hasty = o.nodes > scenario.LargeWorld
	}
	if o.soaks() && !fs.Changed("seed") {
		var b [4]byte
		rand.Read(b[:]) // never fails
		o.seed = uint64(binary.BigEndian.Uint32(b[:]))
	}
	return nil
}

// config returns the run that is asked for.
func (o *simOptions) config() scenario.Config {
	s, _ := scenario.Named(o.scenario)
	cfg := scenario.Config{
		Scenario: s, Seed: o.seed, Nodes: o.nodes, Length: time.Duration(o.minutes) * time.Minute, Lookups: o.lookups,
		Loss: o.loss, Session: o.session, Shape: o.shape, SkipFinal: o.hasty,
	}
	for i, name := range scenario.FamilyNames() {
		if name == o.family {
			cfg.Family = scenario.Family(i)
		}
	}
	return cfg
}

// simulation is one call of the command.
type simulation struct {
	o      *simOptions
	out    output
	stderr io.Writer
}

// progressEvery is the time between two lines that say how far a run is.
const progressEvery = 2 * time.Second

func (s *simulation) runOne(ctx context.Context) error {
	if s.o.plot != "" {
		if err := tryPlots(s.o.plot); err != nil {
			return err
		}
	}
	cfg := s.o.config()
	cfg.Progress = s.progress(ctx, "")
	r, err := scenario.Run(cfg)
	if err := s.out.print(r.String(), r); err != nil {
		return err
	}
	if err != nil {
		return s.explain(err)
	}
	if s.o.plot != "" {
		return s.plot(ctx, r)
	}
	return nil
}

// progress returns a scenario.Config.Progress that tells of it, after the name of the world if it
// has one, and ends with ctx.
func (s *simulation) progress(ctx context.Context, name string) func(scenario.Progress) bool {
	began := time.Now()
	told, events := began, uint64(0)
	if name != "" {
		name += ": "
	}
	return func(p scenario.Progress) bool {
		if now := time.Now(); now.Sub(told) >= progressEvery {
			rate := float64(p.Events-events) / now.Sub(told).Seconds()
			fmt.Fprintf(s.stderr, "%s%v of %v virtual, %v real: %d nodes, %.0f events/s\n",
				name, p.Time.Round(time.Second), p.Of.Round(time.Second), now.Sub(began).Round(time.Second), p.Nodes, rate)
			told, events = now, p.Events
		}
		return ctx.Err() == nil
	}
}

// tailLines is how much of the trace is told of a world that is broken.
const tailLines = 40

// explain tells what came before an invariant did not hold, and returns the error.
func (s *simulation) explain(err error) error {
	var b *scenario.Broken
	if errors.As(err, &b) {
		for _, line := range b.Trace[max(0, len(b.Trace)-tailLines):] {
			fmt.Fprintln(s.stderr, line)
		}
		fmt.Fprintf(s.stderr, "replay with: %s\n", b.Replay)
	}
	return err
}

// nameValue is a choice of which the help says more.
type nameValue struct{ choiceValue }

func (v nameValue) Type() string          { return "name" }
func (v nameValue) String() string        { return v.choiceValue.String() }
func (v nameValue) Set(name string) error { return v.choiceValue.Set(name) }

// shareValue is a flag with a share from 0 to less than 1.
type shareValue struct{ value *float64 }

func (v *shareValue) Type() string   { return "share" }
func (v *shareValue) String() string { return strconv.FormatFloat(*v.value, 'g', -1, 64) }

func (v *shareValue) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f < 1) {
		return fmt.Errorf("want a share of 0 or more, below 1")
	}
	*v.value = f
	return nil
}
