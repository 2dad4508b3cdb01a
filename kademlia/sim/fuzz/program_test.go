package fuzz

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/journal/faultfs"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/tracker"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// The bounds of the program, which are small so that a script reaches them.
const (
	maxTracked     = 3
	maxKept        = 2
	maxHashes      = 5
	maxSwarmBytes  = 4 << 10
	maxItemBytes   = 4000
	tokenLife      = 10 * time.Minute
	tokenLeast     = 5 * time.Minute
	peerLife       = 45*time.Minute + 2*16*time.Second // a tick at each end
	maxItemReply   = 1440
	maxOutstanding = 256
)

// program is a node of each family, with a tracker and items, and all that is around it.
type program struct {
	t      *testing.T
	script *script // what is left of it
	in     *script // what is left of the present move
	clock  *simnet.Clock
	trace  hash.Hash

	choices mask
	ks      int
	disk    *faultfs.Disk // nil: nothing outlives the program
	blocked *krpc.Blocklist

	life    int // restarts
	wires   []*wire
	nodes   []*kademlia.Node
	tracker *tracker.Tracker
	items   *store.Items
	log     *journal.Log
	closed  [3]bool // by part

	refuses bool
	serving int
	asked   []*asked // that wait for an answer, oldest first
	last    []byte   // the last query that a stranger has sent
	calls   []*call
	ending  bool

	knowledge
}

// The configuration of a program.
const (
	chooseOnly4 = iota
	chooseLocal
	chooseReadOnly
	chooseLimiter
	choosePacer
	chooseNoBootstrap
	chooseNoMemory
	chooseJournal
	chooseUnspecified // addresses to listen on
)

// configLen is the length of a configuration, with which a script begins.
const configLen = 3

func newProgram(t *testing.T, b []byte) *program {
	all := &script{b}
	in := &script{all.bytes(configLen)}
	p := &program{t: t, script: all, in: in, clock: simnet.NewClock(start), trace: sha256.New(), choices: in.mask(), blocked: new(krpc.Blocklist)}
	p.ks = []int{8, 1, 20, 2}[in.below(4)]
	p.knowledge.init()
	if p.choices.has(chooseJournal) {
		p.disk = faultfs.New(1)
	}
	p.begin(nil)
	return p
}

// listen are the addresses that the program listens on.
func (p *program) listen() []netip.AddrPort {
	list := []netip.AddrPort{simnet.Addr(5000), simnet.Addr6(5000)}
	if p.choices.has(chooseUnspecified) {
		list = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:6881"), netip.MustParseAddrPort("[::]:6881")}
	}
	if p.choices.has(chooseOnly4) {
		return list[:1]
	}
	return list
}

// begin starts the program, with what an earlier one has left.
func (p *program) begin(states map[netip.AddrPort]kademlia.NodeState) {
	p.life++
	p.wires, p.nodes, p.asked, p.closed = nil, nil, nil, [3]bool{}
	for i, addr := range p.listen() {
		w := &wire{p: p, node: i, addr: addr, life: p.life}
		n, err := kademlia.NewNode(p.nodeConfig(w, states[addr]))
		if err != nil {
			p.t.Fatal(err)
		}
		p.wires, p.nodes = append(p.wires, w), append(p.nodes, n)
	}
	quiet := slog.New(slog.DiscardHandler)
	if p.log = nil; p.disk != nil {
		p.log = journal.New(journal.Config{FS: p.disk, Now: p.clock.Now, Rand: p.rand(1), Sync: journal.SyncNever, Log: quiet})
	}
	p.tracker = tracker.New(p.nodes, tracker.Config{
		Swarms:     tracker.SwarmsConfig{Rand: p.rand(2), MaxBytes: maxSwarmBytes, MaxHashes: maxHashes, MaxPeers: 8, Shards: 1},
		MaxTracked: maxTracked, Journal: p.log, Log: quiet,
	})
	p.items = store.New(p.nodes, store.Config{
		MaxBytes: maxItemBytes, MaxPerIP: 2, MaxPerSubnet: 3, MaxKept: maxKept, Rand: p.rand(3), Journal: p.log, Log: quiet,
	})
	if p.log != nil {
		if err := p.log.Load(); err != nil {
			p.t.Fatal(err)
		}
		if err := p.log.Start(); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, n := range p.nodes {
		n.Start()
	}
	p.tracker.Start()
	p.items.Start()
}

func (p *program) nodeConfig(w *wire, state kademlia.NodeState) kademlia.NodeConfig {
	cfg := kademlia.NodeConfig{
		Transport: w, Clock: p.clock, Rand: p.rand(100 + uint64(w.node)), K: p.ks, State: state, Siblings: p.nodes,
		Proven:     krpc.NewProven(16, p.rand(6)),
		AllowLocal: p.choices.has(chooseLocal), ReadOnly: p.choices.has(chooseReadOnly), Blocklist: p.blocked, Version: "KN01",
	}
	if p.choices.has(chooseLimiter) {
		cfg.Limiter = krpc.NewLimiter(1, 5, 64, p.rand(4))
	}
	if p.choices.has(choosePacer) {
		cfg.Pacer, cfg.Remotes = krpc.NewPacer(20, 20), krpc.NewRemotes(10)
	}
	if p.choices.has(chooseNoMemory) {
		cfg.Memory = -1
	}
	if !p.choices.has(chooseNoBootstrap) {
		cfg.Bootstrap = func(done func([]netip.AddrPort, error)) {
			p.clock.AfterFunc(0, func() { done([]netip.AddrPort{simnet.Addr(0), simnet.Addr6(0), simnet.Addr(1)}, nil) })
		}
	}
	return cfg
}

// rand returns a random source for one use in this life.
func (p *program) rand(use uint64) *rand.Rand { return rand.New(rand.NewPCG(uint64(p.life), use)) }

// The ways in which a program is started again: without having closed its journal, and after that
// has taken a snapshot.
const (
	restartKilled = iota
	restartCompacted
)

// restart ends the program, and starts it again.
func (p *program) restart(m mask) {
	if p.log != nil && m.has(restartCompacted) {
		if err := p.log.Compact(); err != nil {
			p.t.Fatal(err)
		}
	}
	states := make(map[netip.AddrPort]kademlia.NodeState)
	for i, n := range p.nodes {
		states[p.wires[i].addr] = n.State()
	}
	b, err := kademlia.EncodeStates(states)
	if err != nil {
		p.t.Fatal(err)
	}
	p.end()
	if p.log != nil && !m.has(restartKilled) {
		if err := p.log.Close(); err != nil {
			p.t.Fatal(err)
		}
	}
	if states, err = kademlia.DecodeStates(b); err != nil {
		p.t.Fatal(err)
	}
	p.forgetUnkept()
	p.begin(states)
}

// The parts that can be closed. The nodes come last: what runs on them needs them.
const (
	partTracker = iota
	partItems
	partNodes
)

func (p *program) close(part int) {
	switch part {
	case partTracker:
		p.tracker.Close()
	case partItems:
		p.items.Close()
	case partNodes:
		for i, n := range p.nodes {
			n.Close()
			p.wires[i].closed = true
		}
	}
	p.closed[part] = true
}

// end closes all that is not closed. Nothing that was called for may be left after it.
func (p *program) end() {
	for part := range p.closed {
		p.close(part)
	}
	p.wantEnded("after Close")
	p.calls = nil
}

// block has a quarter of the hosts be on the blocklist, or nobody.
func (p *program) block(on bool) {
	list := ""
	for i := 2; i < numHosts && on; i += 4 {
		list += simnet.Addr(i).Addr().String() + "\n" + simnet.Addr6(i).Addr().String() + "\n"
	}
	if _, err := p.blocked.Load(strings.NewReader(list)); err != nil {
		p.t.Fatal(err)
	}
	for _, n := range p.nodes {
		n.DropBlocked()
	}
}

// note adds to the trace.
func (p *program) note(what string, b []byte) {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(p.clock.Now().UnixNano()))
	p.trace.Write(at[:])
	p.trace.Write([]byte(what))
	p.trace.Write(b)
}
