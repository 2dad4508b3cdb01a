package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kadnode/kadnode/krpc/load"
)

const (
	// benchSlice is how long a node is measured until it is the next one's turn. It
	// is short beside what makes a machine drift, and long beside a switch.
	benchSlice = 250 * time.Millisecond
	// benchRate is the paced load: what a busy node of the mainline DHT is asked.
	benchRate = 20_000
	// overload is how many times what a node can answer it is asked.
	overload = 2
)

// compare starts the echo, a node of this program and those of --rival, and measures
// them by turns.
func (b *bench) compare(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "kadnode-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	commands, err := b.o.commands(dir)
	if err != nil {
		return err
	}
	var targets []*benchTarget // the echo is the first one
	var last *child            // whose context ends with any of them
	for i, c := range commands {
		p, err := startChild(ctx, c, b.stderr)
		if err != nil {
			return err
		}
		defer p.stop()
		last, ctx = p, p.ctx
		t := &benchTarget{name: c.name, pid: p.cmd.Process.Pid, wait: benchReady}
		if err := t.open(ctx, load.Config{Target: p.listen, Echo: i == 0}, b.stderr); err != nil {
			return p.explain(err)
		}
		defer t.close()
		targets = append(targets, t)
	}
	return last.explain(b.measureAll(ctx, targets))
}

// measureAll measures the targets, of which the first one is the echo.
func (b *bench) measureAll(ctx context.Context, targets []*benchTarget) error {
	if err := b.header(); err != nil {
		return err
	}
	if err := b.compareRows(ctx, targets); err != nil {
		return err
	}
	if !b.o.mixes() {
		return b.failed
	}
	for _, t := range targets[1:] {
		if err := b.overload(ctx, t); err != nil {
			return err
		}
	}
	return b.failed
}

// commands returns what is to be started.
func (o *benchOptions) commands(dir string) ([]childCommand, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	commands := []childCommand{
		{"echo", []string{self, echoCommand, listenMark}},
		{"kadnode", []string{self, "run", "--listen", listenMark, "--bootstrap", none, "--rate-limit", "0",
			"--http", "127.0.0.1:0", "--data-dir", dir, "--log-level", "error"}},
	}
	for _, r := range o.rivals {
		name, command, _ := strings.Cut(r, "=")
		args := strings.Fields(command)
		if name == "" || len(args) == 0 || !strings.Contains(command, listenMark) {
			return nil, usagef("--rival %q: want NAME=COMMAND with %s in it", r, listenMark)
		}
		if slices.ContainsFunc(commands, func(c childCommand) bool { return c.name == name }) {
			return nil, usagef("--rival %q: the name is taken", r)
		}
		commands = append(commands, childCommand{name, args})
	}
	return commands, nil
}

// compareRows measures each row at every target, in short turns.
func (b *bench) compareRows(ctx context.Context, targets []*benchTarget) error {
	rows := b.o.rows()
	if last := rows[len(rows)-1]; last.name == "mix" {
		last.name, last.rate = fmt.Sprintf("mix at %d/s", benchRate), benchRate
		rows = append(rows, last)
	}
	for _, row := range rows {
		var ms []measurement
		for _, t := range targets {
			if t.takes(row) {
				ms = append(ms, measurement{row: row, target: t})
			}
		}
		turns := int(max(1, math.Round(float64(b.o.duration)/float64(benchSlice))))
		for range turns {
			for i := range ms {
				if err := ms[i].run(ctx, b.o.inFlight, b.o.duration/time.Duration(turns)); err != nil {
					return err
				}
			}
		}
		for i := range ms {
			if err := b.print(&ms[i], &ms[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// overloadObject is in JSON what a node does when it is asked more than it can answer.
type overloadObject struct {
	Node    string  `json:"node"`
	Queries string  `json:"queries"`
	Peak    float64 `json:"peak_per_second"`
	Wanted  float64 `json:"wanted_per_second"`
	Asked   float64 `json:"asked_per_second"` // what was sent
	Goodput float64 `json:"goodput_per_second"`
	Ratio   float64 `json:"goodput_ratio"`
	PeakCPU float64 `json:"peak_cpu_microseconds,omitempty"`
	CPU     float64 `json:"cpu_microseconds,omitempty"`
	Wrong   uint64  `json:"wrong"`
	Before  int64   `json:"resident_bytes_before"`
	After   int64   `json:"resident_bytes_after"`
}

// overload compares what a node answers when it is asked more than it can with the
// most that it can answer.
func (b *bench) overload(ctx context.Context, t *benchTarget) error {
	peak := measurement{row: benchRow{name: "overload", mix: load.Mainline()}, target: t}
	if !t.takes(peak.row) {
		return nil
	}
	if err := peak.run(ctx, b.o.inFlight, b.o.duration); err != nil {
		return err
	}
	if b.judge(&peak); peak.result.Replies == 0 {
		return nil // twice nothing is nothing
	}
	over := measurement{row: peak.row, target: t}
	over.row.rate = math.Round(overload * peak.result.Rate())
	before, _ := residentMemory(t.pid)
	if err := over.run(ctx, 0, b.o.duration); err != nil {
		return err
	}
	after, _ := residentMemory(t.pid)
	o := overloadObject{
		Node: t.name, Queries: over.row.name, Peak: math.Round(peak.result.Rate()), Wanted: over.row.rate,
		Asked: math.Round(float64(over.result.Sent) / b.o.duration.Seconds()), Goodput: math.Round(over.result.Rate()),
		PeakCPU: roundTo(peak.cost(), 1000), CPU: roundTo(over.cost(), 1000),
		Wrong: over.result.Wrong, Before: before, After: after,
	}
	if o.Peak > 0 {
		o.Ratio = roundTo(o.Goodput/o.Peak, 1000)
	}
	return b.out.print(o.text(), o)
}

// text is o for people. The asker may be too slow for what is wanted of it, above all
// where it has to share the processors with the node.
func (o *overloadObject) text() string {
	const (
		mebibyte = 1 << 20
		enough   = 0.99
	)
	short := ""
	if o.Asked < enough*o.Wanted {
		short = " (the asker could not send more)"
	}
	return fmt.Sprintf("%-12s %-16s wanted %.0f/s, sent %.0f/s%s, %.0f/s right, %.2f of the %.0f/s of a closed loop; "+
		"CPU %.2f µs a right reply, there %.2f; memory %.1f MiB, before %.1f",
		o.Node, o.Queries, o.Wanted, o.Asked, short, o.Goodput, o.Ratio, o.Peak, o.CPU, o.PeakCPU,
		float64(o.After)/mebibyte, float64(o.Before)/mebibyte)
}
