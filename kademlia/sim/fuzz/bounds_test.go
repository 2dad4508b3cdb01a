package fuzz

import (
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// check checks what holds between two moves.
func (p *program) check() {
	for i, n := range p.nodes {
		p.checkNode(n)
		p.checkContacts(n)
		if p.closed[partNodes] && n.Stats().ActiveLookups+n.Stats().Endpoint.Pending > 0 {
			p.t.Fatalf("node %d has lookups after Close", i)
		}
	}
	s := p.tracker.Stats()
	bounded := []struct {
		what     string
		is, most int
	}{
		{"tracked", s.Tracked, s.MaxTracked},
		{"announcing", s.Announcing, s.Tracked},
		{"info-hashes", s.Swarms.Hashes, s.Swarms.MaxHashes},
		{"bytes of swarms", int(s.Swarms.Bytes), int(s.Swarms.MaxBytes)},
		{"filters", s.Swarms.Filters, s.Swarms.MaxFilters},
		{"seeds", s.Swarms.Seeds4 + s.Swarms.Seeds6, s.Swarms.Peers4 + s.Swarms.Peers6},
	}
	it := p.items.Stats()
	bounded = append(bounded, []struct {
		what     string
		is, most int
	}{
		{"bytes of items", int(it.Bytes), int(it.MaxBytes)},
		{"kept items", it.Kept, it.MaxKept},
		{"puts of kept items", it.Keeping, it.Kept},
		{"spreading", it.Spreading, it.MaxSpreading},
		{"newcomers", it.Newcomers, it.MaxNewcomers},
	}...)
	for _, b := range bounded {
		if b.is < 0 || b.is > b.most {
			p.t.Fatalf("%s: %d of %d", b.what, b.is, b.most)
		}
	}
}

// checkNode checks the bounds of a node.
func (p *program) checkNode(n *kademlia.Node) {
	s := n.Stats()
	within := func(what string, is, most int) {
		if is < 0 || is > most {
			p.t.Fatalf("%s: %d of %d", what, is, most)
		}
	}
	within("pending queries", s.Endpoint.Pending, s.Endpoint.MaxPending)
	within("queries that are held", s.Endpoint.Holding, s.Endpoint.MaxHolding)
	within("remotes", s.Endpoint.Remotes.Known, s.Endpoint.Remotes.MaxKnown)
	within("limiter", s.Endpoint.LimiterBusy, s.Endpoint.LimiterCells)
	within("remembered", s.Remembered, s.MaxRemembered)
	within("recent lookups", s.RecentLookups, s.MaxRecent)
	within("verifying", s.Verifying, s.MaxVerifying)
	within("buckets", len(s.Buckets), 8*krpc.IDLen)
	for _, b := range s.Buckets {
		within("contacts", b.Good+b.Questionable+b.Bad, b.Capacity)
		within("replacements", b.Spares, 8)
	}
	if s.NetworkSize < 0 || s.NetworkSize != s.NetworkSize {
		p.t.Fatalf("a network of %v nodes", s.NetworkSize)
	}
	if s.ExternalAddr.IsValid() && krpc.Class(s.ExternalAddr) != krpc.AddrClassPublic {
		p.t.Fatalf("is at %v", s.ExternalAddr)
	}
}

// checkContacts checks that all contacts have answered, and that those that are named are none of
// whom nobody is to hear.
func (p *program) checkContacts(n *kademlia.Node) {
	for _, c := range n.State().Contacts {
		if !p.answered[c] {
			p.t.Fatalf("%v is a contact of %v, and has never answered", c, n.ID())
		}
	}
	for _, c := range n.Closest(n.ID(), kademlia.MaxK) {
		if c.ID == n.ID() || c.Addr.Addr().Is6() != n.Is6() || p.blocked.Contains(c.Addr.Addr()) {
			p.t.Fatalf("%v is a contact of %v", c, n.ID())
		}
	}
}

// settle lets all that was begun come to its end, and ends the program.
func (p *program) settle() {
	p.ending, p.serving, p.refuses = true, servingNobody, false
	p.clock.Run(20 * time.Minute)
	p.check()
	p.wantEnded("after twenty minutes")
	p.end()
	p.check()
	p.clock.Run(3 * time.Hour)
	if n := p.clock.Pending(); n > 0 {
		p.t.Fatalf("%d timers are left of a program that has ended", n)
	}
	p.check()
}
