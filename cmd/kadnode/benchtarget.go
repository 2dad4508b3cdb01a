package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/kadnode/kadnode/krpc/load"
)

const (
	// benchAnswer is how long a node that runs may take to answer its first query.
	benchAnswer = 5 * time.Second
	// benchReady is how long one may take to start, and then to fill its table.
	benchReady = 30 * time.Second
)

// benchTarget is a node under load.
type benchTarget struct {
	name string
	pid  int           // 0: its processor time is not measured
	wait time.Duration // at most, for its first reply
	gen  *load.Generator
	// stores says that it takes announces of peers.
	stores bool
	warned bool // that queries are lost
}

// takes tells whether row can be measured at t.
func (t *benchTarget) takes(row benchRow) bool { return t.stores || !row.mix.NeedsPeers() }

// open prepares the node for what is asked later.
func (t *benchTarget) open(ctx context.Context, cfg load.Config, stderr io.Writer) (err error) {
	cfg.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	if t.gen, err = load.Open(cfg); err != nil {
		return err
	}
	p, err := t.prepare(ctx)
	if err != nil {
		t.gen.Close()
		return fmt.Errorf("%s: %w", t.name, err)
	}
	t.stores = cfg.Echo || p.Peers > 0
	if !cfg.Echo {
		fmt.Fprintf(stderr, "%s: node %v %s\n", t.name, p.ID, whatItHas(p))
	}
	if !t.stores {
		fmt.Fprintf(stderr, "%s: what is about the peers that it stores is left out%s\n", t.name, mayBePrivate)
	}
	return nil
}

// mayBePrivate is why a node may not take what is on this host.
const mayBePrivate = " (kadnode on all addresses: --allow-private)"

func (t *benchTarget) prepare(ctx context.Context) (load.Prepared, error) {
	first, cancel := context.WithTimeout(ctx, t.wait)
	defer cancel()
	err := t.gen.Greet(first)
	if errors.Is(err, context.DeadlineExceeded) {
		return load.Prepared{}, fmt.Errorf("no answer within %v", t.wait)
	}
	if err != nil {
		return load.Prepared{}, err
	}
	ctx, cancel = context.WithTimeout(ctx, benchReady)
	defer cancel()
	return t.gen.Prepare(ctx)
}

// whatItHas tells what the preparation has come to.
func whatItHas(p load.Prepared) string {
	switch {
	case p.Nodes == 0:
		return fmt.Sprintf("has taken %d peers", p.Peers)
	case p.Known == 0:
		return fmt.Sprintf("has taken %d peers, and had no place for our nodes", p.Peers)
	default:
		return fmt.Sprintf("has met %d of our %d nodes and taken %d peers", p.Known, p.Nodes, p.Peers)
	}
}

func (t *benchTarget) close() { t.gen.Close() }

// measurement is what one row has come to at one node.
type measurement struct {
	row    benchRow
	target *benchTarget
	result load.Result
	cpu    time.Duration // that the process used
	ours   time.Duration // that this process used
	timed  bool          // both are known
}

// settling is how long a process that has answered everything is left alone until its
// processor time is read: the kernel counts that of a thread when it stops.
const settling = 3 * time.Millisecond

// run measures for d, and adds that to what there is. What it measures of a process that ends
// meanwhile is nothing.
func (m *measurement) run(ctx context.Context, inFlight int, d time.Duration) error {
	err := m.measure(ctx, inFlight, d)
	if t := m.target; t.pid > 0 && processGone(t.pid) {
		return fmt.Errorf("%s: process %d has ended", t.name, t.pid)
	}
	return err
}

func (m *measurement) measure(ctx context.Context, inFlight int, d time.Duration) error {
	if err := m.target.gen.Renew(ctx); err != nil {
		return err
	}
	time.Sleep(settling)
	before, known := cpuTime(m.target.pid)
	ours, _ := cpuTime(os.Getpid())
	r, err := m.target.gen.Run(ctx, load.Options{Mix: m.row.mix, InFlight: inFlight, Rate: m.row.rate, Duration: d})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", m.target.name, m.row.name, err)
	}
	oursAfter, _ := cpuTime(os.Getpid())
	time.Sleep(settling)
	after, still := cpuTime(m.target.pid)
	m.result.Add(r)
	m.cpu += after - before
	m.ours += oursAfter - ours
	m.timed = known && still
	return nil
}

// maxLoss is the share of lost queries above which a closed loop measures something
// other than how fast the node answers.
const maxLoss = 0.001

// warn says, once for each node, that queries were lost.
func (m *measurement) warn(stderr io.Writer) {
	r := &m.result
	if m.target.warned || float64(r.Lost) <= maxLoss*float64(r.Sent) {
		return
	}
	m.target.warned = true
	fmt.Fprintf(stderr, "%s: %s: %d of %d queries were lost: perhaps the node limits the queries of one address "+
		"(kadnode: --rate-limit 0) or cannot keep up\n",
		m.target.name, m.row.name, r.Lost, r.Sent)
}

// cost returns the processor time of a right reply in microseconds; 0 if unknown.
func (m *measurement) cost() float64 { return m.aReply(m.cpu) }

// aReply returns the share of d of a right reply, in microseconds.
func (m *measurement) aReply(d time.Duration) float64 {
	if !m.timed || m.result.Replies == 0 {
		return 0
	}
	return float64(d.Nanoseconds()) / 1000 / float64(m.result.Replies)
}

// benchObject is a measurement in JSON.
type benchObject struct {
	Node       string  `json:"node"`
	Queries    string  `json:"queries"`
	Rate       float64 `json:"asked_per_second,omitempty"`
	Replies    uint64  `json:"replies"`
	PerSecond  float64 `json:"replies_per_second"`
	CPU        float64 `json:"cpu_microseconds,omitempty"`
	Ratio      float64 `json:"ratio,omitempty"`
	Busy       float64 `json:"busy,omitempty"`
	AskerCPU   float64 `json:"asker_cpu_microseconds,omitempty"`
	P50        float64 `json:"p50_seconds"`
	P99        float64 `json:"p99_seconds"`
	ReplyBytes float64 `json:"reply_bytes"`
	Errors     uint64  `json:"errors"`
	Wrong      uint64  `json:"wrong"`
	Lost       uint64  `json:"lost"`
	Unsent     uint64  `json:"not_sent"`
	Fault      string  `json:"fault,omitempty"`
}

func (m *measurement) object() benchObject {
	r := &m.result
	o := benchObject{
		Node: m.target.name, Queries: m.row.name, Rate: m.row.rate,
		Replies: r.Replies, PerSecond: math.Round(r.Rate()), CPU: roundTo(m.cost(), 1000), AskerCPU: roundTo(m.aReply(m.ours), 1000),
		P50: r.Latency.Quantile(.5).Seconds(), P99: r.Latency.Quantile(.99).Seconds(),
		Errors: r.Errors, Wrong: r.Wrong, Lost: r.Lost, Unsent: r.Unsent, Fault: r.Fault,
	}
	if r.Replies > 0 {
		o.ReplyBytes = math.Round(float64(r.Bytes) / float64(r.Replies))
	}
	if m.timed && r.Elapsed > 0 {
		o.Busy = roundTo(m.cpu.Seconds()/r.Elapsed.Seconds(), 1000)
	}
	return o
}

// roundTo rounds v to parts of 1/parts.
func roundTo(v, parts float64) float64 { return math.Round(v*parts) / parts }
