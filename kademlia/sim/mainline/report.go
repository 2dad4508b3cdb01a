package mainline

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report sums up the lookups of one policy.
type Report struct {
	Policy    string
	Lookups   int
	FirstPeer Times
	End       Times
	Queries   float64 // mean, as the others
	ToDead    float64 // of these
	Reached   float64 // of the 8 closest nodes that live and answer
	Found     float64 // share of lookups that found peers
	TraceHash uint64  // of all that happened: equal runs have equal ones

	firstPeer, end []time.Duration
}

// Times are quantiles. A lookup in which the thing never happened is longer than all.
type Times struct{ P50, P90, P99 time.Duration }

func (r *Report) add(o outcome) {
	r.Lookups++
	r.firstPeer = append(r.firstPeer, o.firstPeer)
	r.end = append(r.end, o.end)
	r.Queries += float64(o.queries)
	r.ToDead += float64(o.toDead)
	r.Reached += float64(o.reached)
	if o.firstPeer != never {
		r.Found++
	}
}

// sum makes means of sums.
func (r *Report) sum() {
	n := float64(r.Lookups)
	r.Queries, r.ToDead, r.Reached, r.Found = r.Queries/n, r.ToDead/n, r.Reached/n, r.Found/n
	r.FirstPeer, r.End = timesOf(r.firstPeer), timesOf(r.end)
}

func timesOf(list []time.Duration) Times {
	return Times{quantile(list, .5), quantile(list, .9), quantile(list, .99)}
}

// quantile returns the element of list, which it sorts, that a share q is below.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return never
	}
	slices.Sort(list)
	return list[int(q*float64(len(list)-1))]
}

// Table returns the reports as a table in Markdown.
func Table(reports []Report) string {
	var b strings.Builder
	b.WriteString("| policy | first peer ms p50 / p90 / p99 | ends p50 / p90 | queries (to dead) | of the 8 closest | found |\n|---|---|---|---|---|---|\n")
	for _, r := range reports {
		fmt.Fprintf(&b, "| %s | %s / %s / %s | %s / %s | %.1f (%.1f) | %.2f | %.1f %% |\n", r.Policy,
			ms(r.FirstPeer.P50), ms(r.FirstPeer.P90), ms(r.FirstPeer.P99), ms(r.End.P50), ms(r.End.P90),
			r.Queries, r.ToDead, r.Reached, 100*r.Found)
	}
	return b.String()
}

func ms(d time.Duration) string {
	if d == never {
		return "never"
	}
	return fmt.Sprint(d.Milliseconds())
}
