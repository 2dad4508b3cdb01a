package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kadnode/kadnode/krpc"
)

// krpcMetrics are about the KRPC messages of all nodes.
type krpcMetrics struct {
	queries, replies, drops, rtt        *prometheus.Desc
	stalls, stallTime, busy, sendErrors *prometheus.Desc
	pending, maxPending                 *prometheus.Desc
	remotes, maxRemotes                 *prometheus.Desc
	newRemotes, remoteDelays            *prometheus.Desc
	limiterBusy, limiterCells           *prometheus.Desc
}

func newKRPCMetrics(d *descs) krpcMetrics {
	return krpcMetrics{
		queries:      d.add("krpc_queries_total", "Queries received (in), rate-limited ones excluded, and sent (out).", "direction", "method"),
		replies:      d.add("krpc_replies_total", "How queries ended: the answers to own ones (in), and those given to others (out).", "direction", "method", "result"),
		drops:        d.add("krpc_drops_total", "Datagrams received that were dropped without an answer: queries beyond the limit of their source, which several clients behind one address share (rate_limited), or of strangers while more came in than could be answered (strained); answers to no query that waits, mostly late ones (unmatched); what is no KRPC message (malformed); queries that came to a node that only asks, or with its own id (handler); datagrams of the blocklist (blocked), or from port 0 (source).", "reason"),
		rtt:          d.add("krpc_rtt_seconds", "Round-trip times of own queries."),
		stalls:       d.add("krpc_stalls_total", "Own queries that passed the soft timeout."),
		stallTime:    d.add("krpc_stall_timeout_seconds", "The soft timeout as it adapted to the round-trip times.", "family"),
		busy:         d.add("krpc_refused_total", "Own queries not sent because too many were pending or waiting."),
		sendErrors:   d.add("krpc_send_errors_total", "Own queries that the socket refused."),
		pending:      d.add("krpc_pending_queries", "Own queries without an answer yet."),
		maxPending:   d.add("krpc_pending_queries_limit", "Most own queries that may be without an answer."),
		remotes:      d.add("krpc_remotes", "Addresses that were sent queries in the last minute or two; 0 without a limit on them."),
		maxRemotes:   d.add("krpc_remotes_limit", "Most such addresses that are remembered; those beyond count as new again."),
		newRemotes:   d.add("krpc_new_remotes_total", "Queries to addresses that were sent none lately: each takes an entry in a NAT."),
		remoteDelays: d.add("krpc_remote_delays_total", "Queries that had to wait for the limit on new addresses."),
		limiterBusy:  d.add("limiter_busy_cells", "Cells of the rate limiter that are in use: about the sources that asked just now."),
		limiterCells: d.add("limiter_cells", "Cells of the rate limiter; 0 without a limit."),
	}
}

func (m *krpcMetrics) collect(e emitter, t *total) {
	s := &t.endpoint
	for i := range s.Methods {
		m.method(e, krpc.Method(i), &s.Methods[i])
	}
	for i, n := range s.Drops {
		e.counter(m.drops, n, krpc.DropReason(i).String())
	}
	e.histogram(m.rtt, s.RTT)
	e.counter(m.stalls, s.Stalls)
	e.counter(m.busy, s.Refused)
	e.counter(m.sendErrors, s.SendErrors)
	e.count(m.pending, s.Pending)
	e.count(m.maxPending, s.MaxPending)
	e.count(m.remotes, s.Remotes.Known)
	e.count(m.maxRemotes, s.Remotes.MaxKnown)
	e.counter(m.newRemotes, s.Remotes.New)
	e.counter(m.remoteDelays, s.Remotes.Delayed)
	e.count(m.limiterBusy, s.LimiterBusy)
	e.count(m.limiterCells, s.LimiterCells)
	t.eachFamily(func(family string, f *familyTotal) {
		e.gauge(m.stallTime, f.stall.Seconds(), family)
	})
}

func (m *krpcMetrics) method(e emitter, method krpc.Method, s *krpc.MethodStats) {
	name := method.String()
	e.counter(m.queries, s.QueriesIn, "in", name)
	e.counter(m.replies, s.RepliesOut, "out", name, "reply")
	e.counter(m.replies, s.ErrorsOut, "out", name, "error")
	if method == krpc.MethodUnknown {
		return // we send none
	}
	e.counter(m.queries, s.QueriesOut, "out", name)
	e.counter(m.replies, s.RepliesIn, "in", name, "reply")
	e.counter(m.replies, s.ErrorsIn, "in", name, "error")
	e.counter(m.replies, s.Timeouts, "in", name, "timeout")
}
