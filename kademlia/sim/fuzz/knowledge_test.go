package fuzz

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
)

// knowledge is what the world has told the program, and been told by it: what it may say.
type knowledge struct {
	waiting   map[askedKey]bool         // for an answer
	gets      map[askedKey]krpc.Message // that were not answered at once
	answered  map[krpc.NodeInfo]bool    // who did
	claimed   map[netip.AddrPort]krpc.ID
	grants    []grant
	announced map[krpc.ID]map[netip.AddrPort]time.Time
	values    map[string]bool // of items that it has accepted
}

// grant is a write token that the program has issued.
type grant struct {
	to     netip.Addr
	target krpc.ID
	token  []byte
	at     time.Time
}

func (k *knowledge) init() {
	*k = knowledge{
		waiting: make(map[askedKey]bool), gets: make(map[askedKey]krpc.Message), answered: make(map[krpc.NodeInfo]bool), claimed: make(map[netip.AddrPort]krpc.ID),
		announced: make(map[krpc.ID]map[netip.AddrPort]time.Time), values: make(map[string]bool),
	}
}

// forgetUnkept forgets what a program that was started again cannot know. Contacts and tokens
// outlive it, and peers and items with a journal.
func (p *program) forgetUnkept() {
	clear(p.waiting)
	clear(p.gets)
	if p.disk == nil {
		clear(p.announced)
		clear(p.values)
	}
}

// idAt returns the id of the stranger at addr.
func (p *program) idAt(addr netip.AddrPort) krpc.ID {
	if id, ok := p.claimed[addr]; ok {
		return id
	}
	return stranger(addr).ID
}

// learn takes note of a reply.
func (p *program) learn(key askedKey, m *krpc.Message) {
	if p.waiting[key] {
		delete(p.waiting, key)
		if m.Kind == krpc.KindReply && m.HasID {
			p.answered[krpc.NodeInfo{ID: m.ID, Addr: key.to}] = true
		}
	}
}

// answerLate takes note of a reply to a get that had to wait for a proof. There is one at most.
func (p *program) answerLate(w *wire, to netip.AddrPort, b []byte, r *krpc.Message) {
	key := askedKey{w, to, string(r.TID)}
	q, ok := p.gets[key]
	if !ok || len(b) > limitOf(r) {
		p.t.Fatalf("answers %v with %q", to, b)
	}
	delete(p.gets, key)
	p.checkAnswer(p.nodes[w.node], to, &q, r, p.clock.Now())
}

// checkAnswer checks what node n answers q with.
func (p *program) checkAnswer(n *kademlia.Node, from netip.AddrPort, q, r *krpc.Message, now time.Time) {
	if r.Kind == krpc.KindReply {
		p.checkReply(n, from, q, r, now)
	}
	if p.closed[partNodes] {
		return // tokens age no longer
	}
	switch q.Method {
	case krpc.MethodAnnouncePeer:
		p.checkToken(from, q, r, q.InfoHash, now)
	case krpc.MethodPut:
		it := store.Item{V: q.V, K: q.K}
		if q.K != nil && len(q.Salt) <= store.MaxSalt {
			it.Salt = q.Salt
		}
		p.checkToken(from, q, r, it.Target(), now)
	}
}

// checkReply checks that n says nothing that it was not told, and takes note of it.
func (p *program) checkReply(n *kademlia.Node, from netip.AddrPort, q, r *krpc.Message, now time.Time) {
	if r.ID != n.ID() || q.ID == r.ID || len(r.Nodes)%krpc.Node4Len+len(r.Nodes6)%krpc.Node6Len > 0 {
		p.t.Fatalf("%+v is answered with %+v", q, r)
	}
	if most := p.ks; len(r.Nodes)/krpc.Node4Len > most || len(r.Nodes6)/krpc.Node6Len > most {
		p.t.Fatalf("%d and %d bytes of nodes", len(r.Nodes), len(r.Nodes6))
	}
	for node := range r.EachNode {
		if !p.answered[node] {
			p.t.Fatalf("names %v, who has never answered", node)
		}
	}
	for peer := range r.EachPeer {
		if at, ok := p.announced[q.InfoHash][peer]; !ok || now.Sub(at) > peerLife {
			p.t.Fatalf("hands out %v, announced at %v", peer, at)
		}
	}
	if r.V != nil && !p.values[string(r.V)] {
		p.t.Fatalf("hands out an item that it was not given: %q", r.V)
	}
	if r.Token != nil {
		target := q.Target
		if q.Method == krpc.MethodGetPeers {
			if target = q.InfoHash; !n.Usable(from) {
				p.t.Fatalf("a token for %v", from)
			}
		}
		p.grants = append(p.grants, grant{from.Addr(), target, bytes.Clone(r.Token), now})
	}
	switch q.Method {
	case krpc.MethodAnnouncePeer:
		peer := from
		if !q.ImpliedPort {
			peer = netip.AddrPortFrom(from.Addr(), q.Port)
		}
		if p.announced[q.InfoHash] == nil {
			p.announced[q.InfoHash] = make(map[netip.AddrPort]time.Time)
		}
		p.announced[q.InfoHash][peer] = now
	case krpc.MethodPut:
		p.values[string(q.V)] = true
	}
}

// checkToken checks that q, with a token for target, was rightly accepted or refused: it is good
// for whom it was issued to, for five to ten minutes.
func (p *program) checkToken(from netip.AddrPort, q, r *krpc.Message, target krpc.ID, now time.Time) {
	age := time.Duration(-1)
	for _, g := range p.grants {
		if g.to == from.Addr() && g.target == target && bytes.Equal(g.token, q.Token) {
			age = now.Sub(g.at) // of the last one
		}
	}
	issued := age >= 0
	switch {
	case r.Kind == krpc.KindReply && (!issued || age > tokenLife):
		p.t.Fatalf("%v from %v is accepted with a token of %v", q.Method, from, age)
	case r.Kind == krpc.KindError && string(r.ErrorText) == "bad token" && issued && age < tokenLeast:
		p.t.Fatalf("%v from %v is refused with a token of %v", q.Method, from, age)
	}
}
