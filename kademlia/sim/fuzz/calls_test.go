package fuzz

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// call is a call of the program that ends by a callback.
type call struct {
	p        *program
	what     int
	to       netip.AddrPort // whom it asks, if that was said
	cancel   func()
	stopped  bool
	ended    int
	over     bool // the program has ended
	again    bool // it is followed by another
	found    map[netip.AddrPort]bool
	lifelong bool // it may take as long as the program lives
}

const (
	callFindPeers = iota
	callAnnounce
	callScrape
	callFindItem
	callPutItem
	callPing
	callLookup
	callSample
	callWhenJoined
	numCalls
)

// maxCalls bounds the calls under way, and those that have ended.
const maxCalls = 100

func (p *program) call(what int) {
	if len(p.calls) == maxCalls {
		return
	}
	in := p.in
	target, options := p.target(in.next()), in.next()
	c := &call{p: p, what: what, again: options&128 != 0, found: make(map[netip.AddrPort]bool)}
	c.cancel = func() {}
	p.calls = append(p.calls, c)
	n := p.nodes[int(options)%len(p.nodes)]
	switch what {
	case callFindPeers:
		c.cancel = p.tracker.FindPeers(target, c.peer, func(res tracker.PeersResult) {
			c.end(res.Peers == len(c.found), res.Peers)
		})
	case callAnnounce:
		o := announceOptions(options)
		stop, err := p.tracker.AnnouncePeer(target, o, c.peer, func(res tracker.AnnounceResult) {
			c.end(res.Stored+len(res.Failures) == res.Asked, res.Stored)
		})
		if c.cancel = stop; err != nil {
			c.cancel = func() {}
			c.end(err == tracker.ErrNoPort && o.Port == 0 && !o.ImpliedPort, err)
		}
	case callScrape:
		c.cancel = p.tracker.FindScrape(target, func(res tracker.ScrapeResult) { c.end(true, res.Seeds) })
	case callFindItem:
		p.findItem(c, target, options)
	case callPutItem:
		it := pool[int(options)%len(pool)]
		p.values[string(it.V)] = true
		c.cancel = p.items.PutItem(it, store.PutOptions{}, func(res store.PutResult, err error) {
			c.end(res.Stored > 0 || err != nil, res.Stored, err)
		})
	case callWhenJoined:
		c.lifelong = true
		c.cancel = n.WhenJoined(func() { c.end(!c.stopped) })
	default:
		p.callNode(c, n, target, options)
	}
}

// callNode asks one node, or all on the way to a target.
func (p *program) callNode(c *call, n *kademlia.Node, target krpc.ID, options byte) {
	switch c.what {
	case callPing:
		c.to = population[int(options)%(2*numHosts)].Addr
		if w := p.wireOf(c.to); w != nil {
			p.nodes[w.node].Ping(c.to, func(res kademlia.PingResult, err error) {
				c.end(err != nil || p.answered[res.Node], err)
			})
			return
		}
		c.end(true)
	case callLookup:
		c.cancel = n.Lookup(kademlia.Lookup{
			Target: target, Kind: kademlia.LookupFindNode, Tokens: options&1 != 0, Later: options&2 != 0, Wide: options&4 != 0,
			Done: func(res kademlia.LookupResult) {
				for i, contact := range res.Closest {
					closer := i > 0 && krpc.CompareDistance(contact.ID, res.Closest[i-1].ID, target) < 0
					if closer || !p.answered[contact.NodeInfo] || i >= p.ks {
						p.t.Fatalf("%d closest to %v: %v", i, target, res.Closest)
					}
				}
				c.end(res.Queries >= res.Replies, res.Queries, res.Replies)
			},
		})
	case callSample:
		to := population[int(options)%len(population[:2*numHosts])]
		w := p.wireOf(to.Addr)
		if w == nil {
			c.end(true)
			return
		}
		p.nodes[w.node].Query(to, krpc.MethodSampleInfohashes, func(m *krpc.Message) { m.HasTarget, m.Target = true, target },
			func(r *krpc.Message, _ time.Duration, err error) { c.end((r != nil) != (err != nil), err) })
	}
}

func (p *program) findItem(c *call, target krpc.ID, options byte) {
	o := store.GetOptions{}
	if options&1 != 0 {
		o.Salt = []byte("salt")
	}
	if options&2 != 0 {
		seen := int64(options >> 4)
		o.Seen = &seen
	}
	c.cancel = p.items.FindItem(target, o, func(res store.FindResult) {
		if res.Found {
			p.values[string(res.Item.V)] = true // which copies are left of
		}
		c.end(!res.Found || res.Item.Target() == target && res.Item.Check() == nil, res.Holders)
	})
}

func announceOptions(options byte) tracker.AnnounceOptions {
	return tracker.AnnounceOptions{
		Port: uint16(options & 15), ImpliedPort: options&16 != 0, Seed: options&32 != 0, Reuse: options&64 != 0,
	}
}

// peer is a peer that was found.
func (c *call) peer(a netip.AddrPort) {
	if c.found[a] || c.ended > 0 || c.over || !c.p.usable(a) {
		c.p.t.Fatalf("call %d finds %v: %+v", c.what, a, c)
	}
	c.found[a] = true
}

// usable tells whether any node deals with peers at a.
func (p *program) usable(a netip.AddrPort) bool {
	for _, n := range p.nodes {
		if n.Usable(a) {
			return true
		}
	}
	return false
}

// end is the callback: right tells whether what it says can be.
func (c *call) end(right bool, what ...any) {
	if c.ended++; c.ended > 1 || c.over || !right {
		c.p.t.Fatalf("call %d ends, right %t, with %v: %+v", c.what, right, what, c)
	}
	c.p.note("ends", fmt.Append(nil, c.what, what))
	if c.again && !c.p.ending {
		c.p.call(c.what)
	}
}

func (c *call) stop() {
	c.stopped = true
	c.cancel()
	c.cancel()
}

// wantEnded checks that all calls have ended, those included that last as long as the program if
// it has.
func (p *program) wantEnded(when string) {
	for _, c := range p.calls {
		if c.over = p.closed[partNodes]; c.ended == 0 && !(c.lifelong && (c.stopped || !c.over)) {
			p.t.Fatalf("call %d has not ended %s: %+v", c.what, when, c)
		}
	}
}

// keep has the program keep at something, or no longer.
func (p *program) keep() {
	in := p.in
	what, target, options := in.below(4), p.target(in.next()), in.next()
	it := pool[int(options)%len(pool)]
	var err error
	switch what {
	case 0:
		o := announceOptions(options)
		known, full := p.tracker.Tracks(target), p.tracker.Tracked() == maxTracked
		switch err = p.tracker.Track(target, o); err {
		case nil:
		case tracker.ErrNoPort:
			known = o.Port > 0 || o.ImpliedPort
		case tracker.ErrTooMany:
			known = known || !full
		case tracker.ErrClosed:
			known = !p.closed[partTracker]
		default:
			known = true
		}
		if err != nil && known {
			p.t.Fatalf("Track: %v", err)
		}
	case 1:
		p.tracker.Untrack(target)
		if p.tracker.Tracks(target) {
			p.t.Fatal("tracks what it was not to track")
		}
	case 2:
		p.values[string(it.V)] = true
		err = p.items.Keep(it, store.KeepOptions{Stored: options&1 != 0})
	case 3:
		p.items.Unkeep(it.Target())
		if p.items.Keeps(it.Target()) {
			p.t.Fatal("keeps what it was not to keep")
		}
	}
	p.note("keeps", fmt.Append(nil, what, err))
}
