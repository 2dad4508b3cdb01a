package scenario

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/tracker"
)

const (
	// peerLife is for how long a node keeps a peer, less what its counting in ticks may take off.
	peerLife = 45*time.Minute - 3*16*time.Second
	// itemSlack is what an item may expire too early: its life goes over the wire in seconds.
	itemSlack = 2 * time.Second
)

// promises are what a host has acknowledged and must still have: peers, items, and what it is
// to track. Times are of its own clock, by which it forgets.
type promises struct {
	peers   map[peerKey]peerPromise
	items   map[krpc.ID]itemPromise
	tracked map[krpc.ID]promise
}

// peerKey is an address in a swarm. Of its ports the last one is demanded: a NAT may show many,
// and the store keeps two.
type peerKey struct {
	infoHash krpc.ID
	addr     netip.Addr
}

type promise struct{ at, until time.Time }

type peerPromise struct {
	promise
	port uint16
}

type itemPromise struct {
	promise
	mutable bool
	seq     int64
}

func newPromises() promises {
	return promises{make(map[peerKey]peerPromise), make(map[krpc.ID]itemPromise), make(map[krpc.ID]promise)}
}

// clear forgets all: the process had no disk.
func (s *promises) clear() {
	clear(s.peers)
	clear(s.items)
	clear(s.tracked)
}

// lose forgets what was promised after a time: a power cut may have lost it.
func (s *promises) lose(after time.Time) {
	maps.DeleteFunc(s.peers, func(_ peerKey, p peerPromise) bool { return p.at.After(after) })
	maps.DeleteFunc(s.items, func(_ krpc.ID, p itemPromise) bool { return p.at.After(after) })
	maps.DeleteFunc(s.tracked, func(_ krpc.ID, p promise) bool { return p.at.After(after) })
}

func (s *promises) track(p *program, ih krpc.ID) {
	if p.log != nil && p.log.Err() == nil {
		now := p.h.clock.Now()
		s.tracked[ih] = promise{at: now}
		if p.h.careful() {
			p.synced = now
		}
	}
}

func (s *promises) tracks(ih krpc.ID) bool {
	_, ok := s.tracked[ih]
	return ok
}

// note takes note of what the reply r to the query q of an address promises.
func (s *promises) note(p *program, now time.Time, from netip.AddrPort, q, r *krpc.Message) {
	if r.Kind != krpc.KindReply {
		return
	}
	switch q.Method {
	case krpc.MethodAnnouncePeer:
		key, port := peerKey{q.InfoHash, from.Addr()}, from.Port()
		if !q.ImpliedPort {
			port = q.Port
		}
		if p.unlogged {
			delete(s.peers, key) // it may be lost, with what it has replaced
			return
		}
		s.peers[key] = peerPromise{promise{now, now.Add(peerLife)}, port}
	case krpc.MethodPut:
		s.notePut(p, now, q)
	}
}

func (s *promises) notePut(p *program, now time.Time, q *krpc.Message) {
	it := store.Item{V: q.V}
	if q.K != nil {
		it = store.Item{V: q.V, K: q.K, Salt: q.Salt, Seq: q.Seq}
	}
	life, target := store.Life, it.Target()
	if q.HasTTL {
		life = min(life, time.Duration(q.TTL)*time.Second)
	}
	if p.unlogged {
		delete(s.items, target)
		return
	}
	n := itemPromise{promise{now, now.Add(life - itemSlack)}, it.Mutable(), it.Seq}
	if old, ok := s.items[target]; ok && old.seq == n.seq && old.until.After(n.until) {
		return
	}
	s.items[target] = n
}

// checkPromises holds the program to what it, or an earlier life on the same disk, has promised.
func (p *program) checkPromises() {
	now, s := p.h.clock.Now(), &p.h.promises
	// What had to give way was promised, too, but only for as long as there is room.
	if p.peers.Stats().Evicted > 0 {
		clear(s.peers)
	}
	if p.items.Stats().Evicted > 0 {
		clear(s.items)
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.peers), peerKey.compare) {
		switch what := s.peers[key]; {
		case now.After(what.until):
			delete(s.peers, key)
		case !p.has(key, what.port, now):
			p.h.w.broken("%v has forgotten the peer %v, port %d, of %v, which it acknowledged %v ago",
				p.h.name(), key.addr, what.port, key.infoHash, now.Sub(what.at))
		}
	}
	for _, target := range slices.SortedFunc(maps.Keys(s.items), krpc.ID.Compare) {
		what := s.items[target]
		if now.After(what.until) {
			delete(s.items, target)
		} else if seq, ok := p.holds(target); !ok || seq < what.seq {
			p.h.w.broken("%v has forgotten the item %v, seq %d, which it acknowledged %v ago: has %v, seq %d",
				p.h.name(), target, what.seq, now.Sub(what.at), ok, seq)
		}
	}
}

func (k peerKey) compare(o peerKey) int {
	if c := k.infoHash.Compare(o.infoHash); c != 0 {
		return c
	}
	return k.addr.Compare(o.addr)
}

// has tells whether the store has a peer.
func (p *program) has(key peerKey, port uint16, now time.Time) bool {
	o := tracker.SampleOptions{V6: key.addr.Is6(), Max: 1000}
	values, _ := p.peers.SampleAndFull(nil, key.infoHash, o, netip.Addr{}, now)
	for peer := range (&krpc.Message{Values: values}).EachPeer {
		if peer == netip.AddrPortFrom(key.addr, port) {
			return true
		}
	}
	return false
}

// holds asks the program for the item at target, as a stranger who does not answer queries. The
// node is asked behind its endpoint, which answers all strangers together only so often: a program
// may hold more items than that, and who is asked here should not refuse others for it.
func (p *program) holds(target krpc.ID) (seq int64, ok bool) {
	w, from := p.h.w, simnet.Addr(1<<24)
	if p.h.ends[0].is6() {
		from = simnet.Addr6(1 << 24)
	}
	w.question = krpc.Request{From: from, Now: p.h.clock.Now(), Query: krpc.Message{Kind: krpc.KindQuery,
		Method: krpc.MethodGet, ReadOnly: true, HasID: true, ID: krpc.RandomID(w.rand), HasTarget: true, Target: target}}
	if err := p.nodes[0].ServeKRPC(&w.question); err != nil {
		w.broken("%v does not answer a get: %v", p.h.name(), err)
	}
	return w.question.Reply.Seq, w.question.Reply.V != nil
}
