package store

import (
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// maxReply is the largest reply that carries a value, in bytes: what passes through
// the Internet in one piece, tunnels included.
const maxReply = 1440

// serveGet answers get: with the closest nodes and a token, always (BEP 44), and with
// the item at the target if n holds one.
func (s *Items) serveGet(n *kademlia.Node, rq *krpc.Request) error {
	q, r := &rq.Query, &rq.Reply
	n.AddNodes(rq, q.Target)
	r.Token = n.AppendToken(rq.Scratch(kademlia.TokenLen), rq.From.Addr(), q.Target)
	it, left, ok := s.find(q.Target, rq.Now)
	if !ok {
		s.counters.misses.Add(1)
		rq.MakeRoom(0)
		return nil
	}
	r.HasTTL, r.TTL = true, int64(left/time.Second)
	r.HasSeq, r.Seq = it.Mutable(), it.Seq
	if it.Mutable() && q.HasSeq && it.Seq <= q.Seq {
		s.counters.notNewer.Add(1)
		rq.MakeRoom(0)
		return nil
	}
	// Aliased, not copied: a stored item never changes.
	r.V, r.K, r.Sig = it.V, it.K, it.Sig
	if rq.Brief() {
		beBrief(n, rq)
	} else if !fit(rq) {
		return krpc.ErrUnproven
	}
	s.counters.hits.Add(1)
	return nil
}

// fewestNodes are enough to go on with, for who would have to wait for more.
const fewestNodes = 4

// fit has nodes make way for the value. It reports false if there is too little left of the reply,
// and more for who proves his address. Who is read-only (BEP 43) cannot.
func fit(rq *krpc.Request) bool {
	whole, nodes := rq.Extend(maxReply), countNodes(&rq.Reply)
	rq.MakeRoom(0)
	return whole || rq.Room() >= 0 && (rq.Query.ReadOnly || countNodes(&rq.Reply) >= min(nodes, fewestNodes))
}

func countNodes(m *krpc.Message) int {
	return len(m.Nodes)/krpc.Node4Len + len(m.Nodes6)/krpc.Node6Len
}

// beBrief has the value make way for nodes if it does not fit in their place.
func beBrief(n *kademlia.Node, rq *krpc.Request) {
	rq.MakeRoom(0)
	if rq.Room() < 0 {
		rq.Reply.V, rq.Reply.K, rq.Reply.Sig = nil, nil, nil
		n.AddNodes(rq, rq.Query.Target)
	}
}

// find returns the newest item at target that any node of the program holds: all of them
// answer as one, and the other family's DHT may have put it there.
func (s *Items) find(target krpc.ID, now time.Time) (it *Item, left time.Duration, ok bool) {
	for i := range s.shelves {
		if held, l, found := s.shelves[i].get(target, now); found && (!ok || held.beats(it)) {
			it, left, ok = held, l, true
		}
	}
	return it, left, ok
}

// servePut answers put: it stores the item. The endpoint has refused what lacks an
// argument (BEP 44): an item without k, sig and seq is an immutable one, and one with
// a part of them none at all.
func (s *Items) servePut(n *kademlia.Node, own shelf, rq *krpc.Request) error {
	what, err := s.put(n, own, rq)
	if err != nil {
		s.counters.refused[refusalOf(err)].Add(1)
		return err
	}
	s.counters.puts[what].Add(1)
	return nil
}

// put checks what is cheap first. The signature, which costs a hundred times as much,
// is verified only for what would be stored else.
func (s *Items) put(n *kademlia.Node, own shelf, rq *krpc.Request) (outcome, *krpc.Error) {
	o := offerOf(n, rq)
	it := &o.item
	if err := it.checkForm(); err != nil {
		return 0, err
	}
	o.target = it.Target()
	if !n.ValidToken(rq.Query.Token, rq.From.Addr(), o.target) {
		return 0, errBadToken
	}
	rq.Proved()
	o.from = payerOf(n, rq, o.target)
	what, err := s.weigh(own, &o, nil)
	if err != nil || what != unverified {
		return what, err
	}
	from := rq.From.Addr()
	if !s.forgeries.allows(from, rq.Now) {
		return 0, errForgeries
	}
	bad := it.checkSignature()
	s.forgeries.verified(from, bad == nil, rq.Now)
	if bad != nil {
		return 0, bad
	}
	return s.weigh(own, &o, it.clone())
}

// weigh has own take o, unless another node of the program holds what is in its way: a
// get is answered from any of them, so that none may take what another has replaced.
func (s *Items) weigh(own shelf, o *offer, verified *Item) (outcome, *krpc.Error) {
	if len(s.shelves) > 1 {
		s.weighing.Lock()
		defer s.weighing.Unlock()
		if held, left, ok := s.find(o.target, o.now); ok {
			if err := o.conflict(held); err != nil {
				return 0, err
			}
			s.renewHeld(held, o.target, left)
		}
	}
	return own.take(*o, verified)
}

// offerOf returns what a put offers, but for the target. Arguments of mutable items
// mean nothing without k: anacrolix/dht sends seq with all.
func offerOf(n *kademlia.Node, rq *krpc.Request) offer {
	q := &rq.Query
	o := offer{item: Item{V: q.V}, self: n.ID(), now: rq.Now, life: Life}
	if q.K != nil {
		o.item.K, o.item.Seq, o.item.Sig = q.K, q.Seq, q.Sig
		if len(q.Salt) > 0 { // an empty one is none
			o.item.Salt = q.Salt
		}
		o.cas, o.hasCas = q.Cas, q.HasCas
	}
	if q.HasTTL {
		o.life = time.Duration(min(q.TTL, int64(Life/time.Second))) * time.Second
	}
	return o
}

// payerOf returns whom to charge for an item that rq puts at target. Where local
// addresses are nodes like others they are free: a private network sits in one subnet.
// One of the nodes nearest to the target, as we know them, hands on what others have put:
// it has the room of many.
func payerOf(n *kademlia.Node, rq *krpc.Request, target krpc.ID) payer {
	switch {
	case krpc.Class(rq.From.Addr()) == krpc.AddrClassLocal && n.Usable(rq.From):
		return payer{}
	case rq.Query.HasTTL && n.IsNear(rq.From, target):
		return payer{rq.From.Addr(), 1}
	}
	return payer{rq.From.Addr(), strangerShare}
}
