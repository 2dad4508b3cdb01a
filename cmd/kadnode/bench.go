package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc/load"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	mode     string
	inFlight int
	rate     float64
	duration time.Duration
	kind     string
	listen   string
	pid      int
	rivals   []string
	json     bool
}

func (o *benchOptions) addFlags(fs *pflag.FlagSet) {
	o.mode, o.kind = "closed", "all"
	fs.Var(&choiceValue{&o.kind, []string{"all", "ping", "find_node", "get_peers", "announce_peer", "mix"}}, "kind", "queries to send")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "how long each kind is measured")
	o.inFlight = 128
	fs.Var(&intValue{&o.inFlight, 1, 1 << 16}, "in-flight", "queries that wait for a reply at a time")
	fs.StringArrayVar(&o.rivals, "rival", nil, "measure another program too: `NAME=COMMAND`, with {listen} for the IP:PORT that it is to serve; may be repeated")
	fs.Var(&choiceValue{&o.mode, []string{"closed", "paced"}}, "mode", "of HOST:PORT: ask when a reply has come, or --rate times a second")
	fs.Var(&rateValue{value: &o.rate}, "rate", "of HOST:PORT: queries a second of --mode paced")
	fs.Var(&intValue{&o.pid, 1, math.MaxInt32}, "pid", "of HOST:PORT: the process whose processor time is measured (Linux)")
	fs.StringVar(&o.listen, "listen", "", "of HOST:PORT: `IP:PORT` to ask from")
}

// onlyForNode are the flags that mean nothing without HOST:PORT.
var onlyForNode = [...]string{"mode", "rate", "pid", "listen"}

func (o *benchOptions) check(fs *pflag.FlagSet, node bool) error {
	for _, name := range onlyForNode {
		if !node && fs.Changed(name) {
			return usagef("--%s goes with HOST:PORT", name)
		}
	}
	switch {
	case node && len(o.rivals) > 0:
		return usagef("--rival does not go with HOST:PORT")
	case o.duration <= 0:
		return usagef("--duration %v: want more than 0", o.duration)
	case (o.mode == "paced") != (o.rate > 0):
		return usagef("--mode paced and --rate go together")
	case o.rate > 0 && o.rate*o.duration.Seconds() < 1:
		return usagef("--rate %v for --duration %v: that is no query", o.rate, o.duration)
	case o.pid > 0 && processGone(o.pid):
		return usagef("--pid %d: no such process", o.pid)
	}
	return nil
}

func newBenchCommand() *cobra.Command {
	o := new(benchOptions)
	cmd := &cobra.Command{
		Use:   "bench [HOST:PORT]",
		Short: "Measure what a node does under load",
		Long: `Measure what a node of any software does under load. Every reply is checked.

Without HOST:PORT, a node of this program and the programs of --rival are started on
loopback, and measured by turns with a process that sends back what it gets. Told is
the processor time that a reply costs, and its ratio to that of an echo.

The node at HOST:PORT is told of nodes and peers that soon will not be there: measure
one that you can restart. On loopback it is asked from 64 addresses; it should answer
any number of queries of each.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd.Flags(), len(args) > 0); err != nil {
				return err
			}
			// Who reads no more fails the next write, and does not end us with things left behind.
			unread := make(chan os.Signal, 1)
			signal.Notify(unread, syscall.SIGPIPE)
			defer signal.Stop(unread)
			b := &bench{o: o, out: output{cmd.OutOrStdout(), o.json}, stderr: &sharedWriter{w: cmd.ErrOrStderr()}}
			run := b.compare
			if len(args) > 0 {
				run = func(ctx context.Context) error { return b.measureNode(ctx, args[0]) }
			}
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

// bench is one call of the command.
type bench struct {
	o      *benchOptions
	out    output
	stderr io.Writer
	failed error // the first row that shows the node to be at fault
}

// benchRow is a load to measure.
type benchRow struct {
	name string
	mix  load.Mix
	rate float64 // queries a second; 0: a closed loop
}

// mixes tells whether --kind asks for the mix, and for what is measured with it.
func (o *benchOptions) mixes() bool { return o.kind == "all" || o.kind == "mix" }

// rows returns what --kind stands for.
func (o *benchOptions) rows() (rows []benchRow) {
	add := func(name string, kinds ...load.Kind) {
		if o.kind != "all" && o.kind != name {
			return
		}
		for _, k := range kinds {
			rows = append(rows, benchRow{k.String(), load.Only(k), o.rate})
		}
	}
	add("ping", load.Ping)
	add("find_node", load.FindNode)
	add("get_peers", load.GetPeersHit, load.GetPeersMiss)
	add("announce_peer", load.AnnouncePeer)
	if o.mixes() {
		rows = append(rows, benchRow{"mix", load.Mainline(), o.rate})
	}
	return rows
}

// measureNode measures the node at host.
func (b *bench) measureNode(ctx context.Context, host string) error {
	cfg, err := b.o.whereTo(ctx, host)
	if err != nil {
		return err
	}
	t := &benchTarget{name: host, pid: b.o.pid, wait: benchAnswer}
	if err := t.open(ctx, cfg, b.stderr); err != nil {
		return err
	}
	defer t.close()
	if err := b.header(); err != nil {
		return err
	}
	rows := slices.DeleteFunc(b.o.rows(), func(r benchRow) bool { return !t.takes(r) })
	if len(rows) == 0 {
		return fmt.Errorf("%s: stores no peers, so that there is nothing to measure%s", host, mayBePrivate)
	}
	for _, row := range rows {
		m := measurement{row: row, target: t}
		if err := m.run(ctx, b.o.inFlight, b.o.duration); err != nil {
			return err
		}
		if err := b.print(&m, nil); err != nil {
			return err
		}
	}
	return b.failed
}

// whereTo returns the addresses to ask, and to ask from.
func (o *benchOptions) whereTo(ctx context.Context, host string) (cfg load.Config, err error) {
	addrs, err := kademlia.Resolve(ctx, []string{host}, nil)
	switch {
	case errors.Is(err, kademlia.ErrHostPort):
		return cfg, usagef("%w", err)
	case err != nil:
		return cfg, err
	case o.listen == "":
		return load.Config{Target: addrs[0]}, nil
	}
	listen, err := netip.ParseAddrPort(o.listen)
	if err != nil {
		return cfg, usagef("--listen %q: want IP:PORT", o.listen)
	}
	listen = netip.AddrPortFrom(listen.Addr().Unmap(), listen.Port())
	same := slices.IndexFunc(addrs, func(a netip.AddrPort) bool { return a.Addr().Is4() == listen.Addr().Is4() })
	if same < 0 {
		return cfg, usagef("--listen %s: from there nothing gets to %v, of the other family", o.listen, addrs[0])
	}
	return load.Config{Target: addrs[same], Listen: listen}, nil
}

// header says what the columns are, to people.
func (b *bench) header() error {
	if b.o.json {
		return nil
	}
	_, err := fmt.Fprintf(b.out.w, "%-12s %-16s %10s %8s %6s %9s %9s %6s  %s\n",
		"node", "queries", "replies/s", "CPU µs", "ratio", "p50", "p99", "bytes", "not right")
	return err
}

// print prints a measurement, beside that of the echo if there is one, and judges it.
func (b *bench) print(m, echo *measurement) error {
	r := &m.result
	b.judge(m)
	cost, ratio := "-", "-"
	object := m.object()
	if m.cost() > 0 {
		cost = fmt.Sprintf("%.2f", m.cost())
	}
	if echo != nil && m.cost() > 0 && echo.cost() > 0 {
		object.Ratio = roundTo(m.cost()/echo.cost(), 1000)
		ratio = fmt.Sprintf("%.2f", object.Ratio)
	}
	text := fmt.Sprintf("%-12s %-16s %10.0f %8s %6s %9v %9v %6.0f  %s", m.target.name, m.row.name, r.Rate(), cost, ratio,
		shortTime(r.Latency.Quantile(.5)), shortTime(r.Latency.Quantile(.99)), object.ReplyBytes, notRight(r))
	m.warn(b.stderr)
	return b.out.print(text, object)
}

// judge has the command fail if m shows the node to be at fault.
func (b *bench) judge(m *measurement) {
	if r := &m.result; r.Replies == 0 || r.Wrong > 0 {
		b.failed = cmp.Or(b.failed, fmt.Errorf("%s: %s: %d right replies, %d wrong ones: %s",
			m.target.name, m.row.name, r.Replies, r.Wrong, cmp.Or(r.Fault, "nothing else")))
	}
}

// notRight tells of the queries that have no right reply.
func notRight(r *load.Result) string {
	var counts []string
	for _, c := range []struct {
		n    uint64
		what string
	}{{r.Errors, "errors"}, {r.Wrong, "wrong"}, {r.Lost, "lost"}, {r.Unsent, "not sent"}} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	text := cmp.Or(strings.Join(counts, ", "), "0")
	if r.Fault != "" {
		text += " (" + r.Fault + ")"
	}
	return text
}

// shortTime rounds d to two digits or so, for people.
func shortTime(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}
