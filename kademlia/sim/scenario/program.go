package scenario

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/tracker"
)

// What of a program is smaller than by default: thousands of them share a machine.
const (
	limiterCells = 64
	provenCells  = 64
	swarmsBytes  = 1 << 20
	swarmsHashes = 1 << 12
	itemsBytes   = 1 << 20
)

// keepInterval is short, so that an hour shows that what is kept is put again.
const keepInterval = 20 * time.Minute

// The rhythm of what cmd/kadnode does by wall clock: the state file is written every four
// minutes, the journal synced after a second, and a snapshot taken now and then.
const (
	saveInterval    = 4 * time.Minute
	syncDelay       = time.Second
	compactInterval = 10 * time.Minute
	mendInterval    = 5 * time.Second
)

// program is a life of what cmd/kadnode runs: from a start of the process to its end.
type program struct {
	h       *host
	rand    *rand.Rand
	nodes   []*kademlia.Node // by end
	peers   tracker.Store
	tracker *tracker.Tracker
	items   *store.Items
	log     *journal.Log // nil: no disk

	born     time.Time // the host's clock
	synced   time.Time // the host's clock: what was acknowledged before outlasts a power cut
	syncing  bool      // a timer is set
	dead     bool      // nothing leaves any more
	closed   bool      // and all timers are stopped
	unlogged bool      // the journal has failed: what is acknowledged now need not outlast us

	sent     []sentStats           // by node
	attempts map[krpc.ID]time.Time // the last query for what is tracked
	resolved []time.Time           // by node: the last attempt to join
	seen     []upkeepSeen          // by node, at the last check
	joinedAt time.Time             // when a node was first seen to have joined
	met      time.Time             // when it last met somebody while it knew nobody
	ops      int                   // that the workload has under way here
}

// careful tells whether the journal of the host is synced before each acknowledgement: then a
// power cut loses nothing either.
func (h *host) careful() bool { return h.index%2 == 1 }

// discard takes the log of programs: what matters there, an invariant tells.
var discard = slog.New(slog.DiscardHandler)

// newProgram makes a program, and loads what the disk has.
func newProgram(h *host) (*program, error) {
	w := h.w
	p := &program{h: h, rand: rand.New(rand.NewPCG(h.rand.Uint64(), h.rand.Uint64())), born: h.clock.Now()}
	p.synced = p.born.Add(-1) // what comes now is not, yet
	p.attempts = make(map[krpc.ID]time.Time)
	p.resolved = make([]time.Time, len(h.ends))
	p.sent, p.seen = make([]sentStats, len(h.ends)), make([]upkeepSeen, len(h.ends))
	for _, e := range h.ends {
		n, err := kademlia.NewNode(p.nodeConfig(e))
		if err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, n)
	}
	if h.disk != nil {
		cfg := journal.Config{FS: h.disk, Now: h.clock.Now, Rand: p.child(), Log: discard}
		if h.careful() {
			cfg.Sync = journal.SyncAlways
		}
		p.log = journal.New(cfg)
	}
	mem := tracker.NewSwarms(tracker.SwarmsConfig{Rand: p.child(), MaxBytes: swarmsBytes, MaxHashes: swarmsHashes, Shards: 1}, h.clock.Now())
	if p.peers = mem; p.log != nil {
		p.peers = tracker.NewDurable(mem, p.log)
	}
	p.tracker = tracker.New(p.nodes, tracker.Config{Store: p.peers, Swarms: tracker.SwarmsConfig{Rand: p.child()}, Journal: p.log, Log: discard})
	p.items = store.New(p.nodes, store.Config{MaxBytes: itemsBytes, KeepInterval: keepInterval, Journal: p.log, Rand: p.child(), Log: discard})
	if err := errors.Join(p.log.Load(), p.log.Start()); err != nil {
		p.abandon()
		return nil, err
	}
	w.programs++
	return p, nil
}

func (p *program) nodeConfig(e *end) kademlia.NodeConfig {
	return kademlia.NodeConfig{
		Transport: &wire{p, e},
		Clock:     p.h.clock,
		Rand:      p.child(),
		Bootstrap: func(done func([]netip.AddrPort, error)) {
			p.resolved[e.at] = p.h.clock.Now()
			p.h.w.resolve(p.h, done)
		},
		State:    p.h.restored(e.net.LocalAddr()),
		Siblings: p.nodes,
		Limiter:  krpc.NewLimiter(krpc.DefaultSourceRate, krpc.DefaultSourceBurst, limiterCells, p.rand),
		Proven:   krpc.NewProven(provenCells, p.child()),
		Pacer:    krpc.NewPacer(krpc.DefaultSendRate, krpc.DefaultSendBurst),
		Remotes:  p.h.w.remotes(),
		Joined:   func(err error) { p.joined(err) },
		Version:  "KS\x00\x01",
	}
}

// child returns a random source for a part of the program.
func (p *program) child() *rand.Rand { return rand.New(rand.NewPCG(p.rand.Uint64(), p.rand.Uint64())) }

// start begins to serve, as cmd/kadnode does, and to share what the user shares.
func (p *program) start() {
	for _, n := range p.nodes {
		if p.h.watched {
			n.OnContact(p.meets)
		}
		n.Start()
	}
	p.tracker.Start()
	p.items.Start()
	if p.h.w.restarts {
		p.every(saveInterval, p.save)
	}
	if p.log != nil {
		p.every(compactInterval, func() { p.log.Compact() })
		p.every(mendInterval, p.mend)
	}
	for i, s := range p.h.own {
		p.track(s.infoHash, tracker.AnnounceOptions{Port: simnet.Port, ImpliedPort: i == 1})
	}
	p.afterDisk()
}

// track shares ih, which it does already if an earlier life promised to go on.
func (p *program) track(ih krpc.ID, o tracker.AnnounceOptions) {
	promised := p.h.watched && p.h.promises.tracks(ih)
	if promised && !p.tracker.Tracks(ih) {
		p.h.w.broken("%v has forgotten that it tracks %v", p.h.name(), ih)
	}
	if err := p.tracker.Track(ih, o); err != nil {
		p.h.w.broken("%v cannot track: %v", p.h.name(), err)
	}
	if p.h.watched && !promised {
		p.h.promises.track(p, ih)
	}
}

// joined is Config.Joined of the nodes: a new place is saved soon.
func (p *program) joined(err error) {
	if err == nil && p.h.w.restarts {
		p.h.w.clock.AfterFunc(time.Second, p.save)
	}
}

// every calls f again and again while the program runs.
func (p *program) every(d time.Duration, f func()) {
	var again func()
	again = func() {
		if p.dead {
			return
		}
		f()
		p.afterDisk()
		p.h.clock.AfterFunc(d, again)
	}
	p.h.clock.AfterFunc(time.Duration(p.rand.Int64N(int64(d))), again)
}

func (p *program) save() {
	if p.dead {
		return
	}
	states := make(map[netip.AddrPort]kademlia.NodeState)
	for i, n := range p.nodes {
		states[p.h.ends[i].net.LocalAddr()] = n.State()
	}
	b, err := kademlia.EncodeStates(states)
	if err != nil {
		p.h.w.broken("%v: %v", p.h.name(), err)
	}
	p.h.saved = slices.Clone(b)
}

// mend takes a snapshot if the disk has failed, as journal.Log.Run does.
func (p *program) mend() {
	if p.log.Err() != nil {
		p.log.Compact()
	}
	p.unlogged = p.log.Err() != nil
}

// commit writes what a reply acknowledges before it leaves. It tells whether it may leave.
func (p *program) commit() bool {
	if p.log == nil {
		return !p.dead
	}
	p.log.Commit()
	p.unlogged = p.log.Err() != nil && !p.h.disk.Crashed()
	if p.h.careful() && !p.unlogged {
		p.synced = p.h.clock.Now()
	} else if !p.syncing {
		p.syncing = true
		p.h.clock.AfterFunc(syncDelay, p.sync)
	}
	return p.afterDisk()
}

func (p *program) sync() {
	p.syncing = false
	if p.dead {
		return
	}
	now := p.h.clock.Now()
	p.log.Sync()
	if p.afterDisk() && p.log.Err() == nil {
		p.synced = now
	}
}

// afterDisk tells whether the program lives. A disk that has crashed was in the middle of an
// operation when the process was killed or the power went.
func (p *program) afterDisk() bool {
	if p.dead {
		return false
	}
	if p.h.disk == nil || !p.h.disk.Crashed() {
		return true
	}
	p.dead = true
	p.h.w.clock.AfterFunc(0, func() {
		if p.h.life == p {
			p.h.crash(p.h.cut)
		}
	})
	return false
}

// abandon ends the process: nothing leaves any more, and the disk takes no more. What is closed
// here stands for the memory that is gone: the clock must hold no timer of it.
func (p *program) abandon() {
	p.dead = true
	if p.h.disk != nil {
		p.h.disk.CrashIn(1)
	}
	p.items.Close()
	p.tracker.Close()
	for _, n := range p.nodes {
		n.Close()
	}
	p.log.Close()
	p.closed = true
	if p.ops > 0 {
		p.h.w.broken("%v: %d operations have not ended with the nodes", p.h.name(), p.ops)
	}
}
