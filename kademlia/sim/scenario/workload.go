package scenario

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

const (
	// hostsPerSwarm is the number of programs for each info-hash; each shares one or two.
	hostsPerSwarm = 4
	maxSwarms     = 10_000
	// maxItems bounds the items that are published.
	maxItems   = 1000
	getsPerPut = 4
)

// swarm is an info-hash, and who shares it.
type swarm struct {
	infoHash krpc.ID
	members  []*host
}

// published is an item that somebody has put.
type published struct {
	item   store.Item
	target krpc.ID
	key    ed25519.PrivateKey // of a mutable one
	keeper *program           // who puts it again; nil: nobody
	put    time.Time          // when it was last stored by somebody; zero: never
	stored int                // by how many
}

func (w *world) makeSwarms() {
	for range max(2, min(w.cfg.Nodes/hostsPerSwarm, maxSwarms)) {
		w.swarms = append(w.swarms, &swarm{infoHash: krpc.RandomID(w.rand)})
	}
}

// join has h share one or two swarms.
func (w *world) join(h *host) {
	i := h.rand.IntN(len(w.swarms))
	chosen := []*swarm{w.swarms[i]}
	if h.rand.IntN(2) == 0 {
		chosen = append(chosen, w.swarms[(i+1)%len(w.swarms)])
	}
	for _, s := range chosen {
		s.members = append(s.members, h)
		h.own = append(h.own, s)
	}
}

// part takes h, which leaves, out of its swarms.
func (h *host) part() {
	for _, s := range h.own {
		s.members = slices.DeleteFunc(s.members, func(o *host) bool { return o == h })
	}
}

// announced returns how many announces have ended well since the program was started.
func (p *program) announced() int {
	st := p.tracker.Stats()
	return int(st.Announces - st.AnnouncesFailed)
}

// op is an operation under way. It ends once, and before long.
type op struct {
	p     *program
	what  string
	began time.Time
	at    int // in world.ops
}

// begin takes note that p begins an operation.
func (p *program) begin(what string) *op {
	w := p.h.w
	o := &op{p: p, what: what, began: w.clock.Now(), at: len(w.ops)}
	w.ops = append(w.ops, o)
	p.ops++
	return o
}

// end takes note that it has ended, and tells whether its outcome counts: not if the program
// was killed meanwhile.
func (o *op) end() bool {
	w := o.p.h.w
	if o.at < 0 {
		w.broken("%v: a %s has ended twice", o.p.h.name(), o.what)
	}
	last := len(w.ops) - 1
	w.ops[o.at] = w.ops[last]
	w.ops[o.at].at = o.at
	w.ops = w.ops[:last]
	o.at = -1
	o.p.ops--
	return !o.p.dead
}

// took returns for how long it has been under way.
func (o *op) took() time.Duration { return o.p.h.w.clock.Now().Sub(o.began) }

// work has programs look up and put from now on, until the world settles.
func (w *world) work() {
	gets := time.Hour / time.Duration(w.cfg.Lookups)
	end := w.clock.Now().Add(w.cfg.Length)
	w.repeatUntil(end, gets, w.getSomePeers)
	w.repeatUntil(end, 2*gets, w.getSomeItem)
	w.repeatUntil(end, 2*gets, w.lookUp)
	w.repeatUntil(end, 2*getsPerPut*gets, w.putSomeItem)
}

// repeatUntil calls f at random times, after each on average.
func (w *world) repeatUntil(end time.Time, each time.Duration, f func()) {
	var step func()
	step = func() {
		if w.clock.Now().Before(end) {
			f()
			w.clock.AfterFunc(time.Duration(w.rand.ExpFloat64()*float64(each)), step)
		}
	}
	w.clock.AfterFunc(time.Duration(w.rand.ExpFloat64()*float64(each)), step)
}

// getSomePeers looks up a swarm that has a live peer beside who asks.
func (w *world) getSomePeers() {
	asker := w.someHost(anyHost)
	if asker == nil {
		return
	}
	for range 10 {
		s := w.swarms[w.rand.IntN(len(w.swarms))]
		if expected := w.livePeers(s, asker); len(expected) > 0 {
			w.getPeers(asker.life, s.infoHash, expected)
			return
		}
	}
}

// livePeers returns the addresses of the members of s that run, have been announced, and would be
// found by asker.
func (w *world) livePeers(s *swarm, asker *host) []netip.Addr {
	var live []netip.Addr
	for _, h := range s.members {
		if h == asker || !h.stable(0) || h.life.announced() < h.unannounced+len(h.own) {
			continue
		}
		for _, e := range h.ends {
			if asker.speaks(e.is6()) {
				live = append(live, e.addr.Addr())
			}
		}
	}
	return live
}

// speaks tells whether h has an address of a family.
func (h *host) speaks(v6 bool) bool {
	for _, e := range h.ends {
		if e.is6() == v6 {
			return true
		}
	}
	return false
}

// getPeers looks up ih, and counts it a success if it comes upon one of the expected.
func (w *world) getPeers(p *program, ih krpc.ID, expected []netip.Addr) {
	o := p.begin("get_peers")
	first := time.Duration(-1)
	p.tracker.FindPeers(ih, func(peer netip.AddrPort) {
		for _, a := range expected {
			if a == peer.Addr() && first < 0 {
				first = o.took()
			}
		}
	}, func(res tracker.PeersResult) {
		if o.end() {
			w.report.getPeers.add(first >= 0, o.took(), first, res.Lookups)
		}
	})
}

// lookUp looks up a random id.
func (w *world) lookUp() {
	h := w.someHost(anyHost)
	if h == nil {
		return
	}
	p, target := h.life, krpc.RandomID(w.rand)
	o := p.begin("lookup")
	i := w.rand.IntN(len(p.nodes))
	p.nodes[i].Lookup(kademlia.Lookup{Target: target, Kind: kademlia.LookupFindNode, Done: func(res kademlia.LookupResult) {
		if o.end() {
			w.compare(h, h.ends[i].is6(), target, res)
			w.report.lookups.add(res.Err == nil && len(res.Closest) > 0, o.took(), -1, []kademlia.LookupResult{res})
		}
	}})
}

// getSomeItem looks up an item that was stored and has not expired.
func (w *world) getSomeItem() {
	h := w.someHost(anyHost)
	if h == nil || len(w.items) == 0 {
		return
	}
	it := w.items[w.rand.IntN(len(w.items))]
	if it.put.IsZero() || w.clock.Now().Sub(it.put) > store.Life-time.Minute {
		return
	}
	o := h.life.begin("get")
	h.life.items.FindItem(it.target, store.GetOptions{Salt: it.item.Salt}, func(res store.FindResult) {
		if o.end() {
			w.report.gets.add(res.Found, o.took(), -1, res.Lookups)
		}
	})
}

// putSomeItem puts a new item, or a new version of one, and may keep it.
func (w *world) putSomeItem() {
	h := w.someHost(anyHost)
	if h == nil {
		return
	}
	it := w.newItem()
	p := h.life
	if it.keeper == nil && w.rand.IntN(3) == 0 {
		if err := p.items.Keep(it.item, store.KeepOptions{Stored: false}); err != nil {
			w.broken("%v cannot keep an item: %v", h.name(), err)
		}
		it.keeper = p
		p.afterDisk()
	}
	o, version := p.begin("put"), it.item
	p.items.PutItem(version, store.PutOptions{}, func(res store.PutResult, err error) {
		if !o.end() {
			return
		}
		w.report.puts.add(err == nil, o.took(), -1, res.Lookups)
		if err == nil {
			it.put, it.stored = w.clock.Now(), res.Stored
		}
	})
}

// newItem returns an item to put: a new one, or the next version of a mutable one that nobody
// keeps.
func (w *world) newItem() *published {
	if len(w.items) > 0 {
		it := w.items[w.rand.IntN(len(w.items))]
		if it.key != nil && it.keeper == nil {
			it.item = w.sign(it.key, it.item.Seq+1)
			return it
		}
		if len(w.items) >= maxItems {
			return it
		}
	}
	it := &published{}
	if w.rand.IntN(2) == 0 {
		it.item = store.Item{V: w.value()}
	} else {
		var seed [ed25519.SeedSize]byte
		for i := range seed {
			seed[i] = byte(w.rand.Uint32())
		}
		it.key = ed25519.NewKeyFromSeed(seed[:])
		it.item = w.sign(it.key, 1)
	}
	it.target = it.item.Target()
	w.items = append(w.items, it)
	return it
}

func (w *world) sign(key ed25519.PrivateKey, seq int64) store.Item {
	it, err := store.Sign(key, nil, seq, w.value())
	if err != nil {
		w.broken("an item cannot be signed: %v", err)
	}
	return it
}

// value returns a random value of up to the longest size.
func (w *world) value() []byte {
	b := make([]byte, 1+int(w.rand.ExpFloat64()*100)%990)
	for i := range b {
		b[i] = 'a' + byte(w.rand.IntN(26))
	}
	return fmt.Appendf(nil, "%d:%s", len(b), b)
}
