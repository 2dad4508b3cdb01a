package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// text returns the verdict in words.
func (r *Report) text() string {
	switch {
	case r.Verdict == VerdictBroken:
		return "an invariant is broken"
	case r.Verdict == VerdictInterrupted:
		return "interrupted; this is what has come until then"
	case r.SkipFinal:
		return "invariants held; whether what was acknowledged is found was not asked, since --skip-final"
	case r.Demanded == 0:
		return "invariants held; nothing was acknowledged that could be asked for"
	}
	return fmt.Sprintf("invariants held; what was acknowledged was found, %d peers and items", r.Demanded)
}

// String returns the report in lines for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seed %d: %d nodes, %.0f virtual minutes, %d programs started, %d datagrams, trace %s\n",
		r.Scenario, r.Seed, r.Nodes, r.Minutes, r.Started, r.Sent, r.TraceHash)
	r.Settings.write(&b)
	fmt.Fprintf(&b, rowFormat, "", "count", "success", "hops: mean", "p99", "messages: p50", "p99", "seconds: p50", "p90", "p99")
	for _, row := range []struct {
		name string
		o    Operations
	}{{"lookups", r.Lookups}, {"get_peers", r.GetPeers}, {"gets", r.Gets}, {"puts", r.Puts}} {
		row.o.write(&b, row.name)
	}
	if r.GetPeers.Success > 0 {
		f := r.GetPeers.First
		fmt.Fprintf(&b, "first peer after %.3f s, %.3f s, %.3f s (p50, p90, p99)\n", f.P50, f.P90, f.P99)
	}
	if r.Lookups.Count > 0 {
		fmt.Fprintf(&b, "lookups found %.2f%% of the closest nodes\n", 100*r.Exact)
	}
	if r.Load.Mean > 0 {
		fmt.Fprintf(&b, "load: %.2f datagrams received a second and node, p99 %.2f, max %.2f (while things went wrong)\n", r.Load.Mean, r.Load.P99, r.Load.Max)
	}
	if t := r.Tables; t.Contacts > 0 {
		fmt.Fprintf(&b, "tables: %.1f contacts, %.2f%% of them dead, %.2f%% of the closest nodes missing (at the end of that time)\n",
			t.Contacts, 100*t.Dead, 100*t.Missing)
	}
	fmt.Fprintf(&b, "verdict: %s\nreplay: %s", r.text(), r.Replay)
	return b.String()
}

// write writes what was run.
func (s *Settings) write(b *strings.Builder) {
	fmt.Fprintf(b, "run: %s, %g minutes of faults, %d lookups an hour, loss %g%%", s.Family, s.FaultMinutes, s.LookupRate, 100*s.Loss)
	if s.Session > 0 {
		fmt.Fprintf(b, ", sessions of %v (shape %g)", time.Duration(s.Session*float64(time.Second)).Round(time.Second), s.Shape)
	}
	if s.SkipFinal {
		b.WriteString(", --skip-final")
	}
	b.WriteByte('\n')
}

// rowFormat is that of the table of operations: ten columns of text.
const rowFormat = "%-9s %8s %8s %11s %5s %14s %5s %13s %7s %7s\n"

// write writes a row of that table.
func (o *Operations) write(b *strings.Builder, name string) {
	if o.Count == 0 {
		fmt.Fprintf(b, rowFormat, name, "0", "-", "-", "-", "-", "-", "-", "-", "-")
		return
	}
	number := func(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	fmt.Fprintf(b, rowFormat, name, strconv.Itoa(o.Count), number(100*o.Success, 2)+"%", number(o.Hops.Mean, 2), number(o.Hops.P99, 0),
		number(o.Messages.P50, 0), number(o.Messages.P99, 0), number(o.Seconds.P50, 2), number(o.Seconds.P90, 2), number(o.Seconds.P99, 2))
}
