package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/kadnode/kadnode/krpc/load"
)

// benchReady is how long a node may take to answer its first query and fill its table.
const benchReady = 30 * time.Second

// benchTarget is a node under load.
type benchTarget struct {
	name string
	pid  int // 0: its processor time is not measured
	gen  *load.Generator
	// stores says that it takes announces of peers.
	stores bool
}

// takes tells whether row can be measured at t.
func (t *benchTarget) takes(row benchRow) bool { return t.stores || !row.mix.NeedsPeers() }

// open prepares the node for what is asked later.
func (t *benchTarget) open(ctx context.Context, cfg load.Config, stderr io.Writer) (err error) {
	cfg.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	if t.gen, err = load.Open(cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, benchReady)
	defer cancel()
	p, err := t.gen.Prepare(ctx)
	if err != nil {
		t.gen.Close()
		return fmt.Errorf("%s: %w", t.name, err)
	}
	t.stores = cfg.Echo || p.Peers > 0
	if !cfg.Echo {
		fmt.Fprintf(stderr, "%s: node %v has met %d of our nodes and taken %d peers\n", t.name, p.ID, p.Known, p.Peers)
	}
	if !t.stores {
		fmt.Fprintf(stderr, "%s: what is about the peers that it stores is left out\n", t.name)
	}
	return nil
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

// run measures for d, and adds that to what there is.
func (m *measurement) run(ctx context.Context, inFlight int, d time.Duration) error {
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
