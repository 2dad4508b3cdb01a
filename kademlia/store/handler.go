package store

import (
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// maxReply is the largest reply that carries a value, in bytes: what passes through
// the Internet in one piece, tunnels included.
const maxReply = 1440

// The length of a node in a reply's lists, in bytes (BEP 5, BEP 32).
const (
	node4Len = krpc.IDLen + 4 + 2
	node6Len = krpc.IDLen + 16 + 2
)

// serveGet answers get: with the closest nodes and a token, always (BEP 44), and with
// the item at the target if n holds one.
func (s *Items) serveGet(n *kademlia.Node, own *shelf, rq *krpc.Request) error {
	q, r := &rq.Query, &rq.Reply
	n.AddNodes(rq, q.Target)
	r.Token = n.AppendToken(rq.Scratch(kademlia.TokenLen), rq.From.Addr(), q.Target)
	it, left, ok := s.find(own, q.Target, rq.Now)
	if !ok {
		s.counters.misses.Add(1)
		return nil
	}
	r.HasTTL, r.TTL = true, int64(left/time.Second)
	r.HasSeq, r.Seq = it.Mutable(), it.Seq
	if it.Mutable() && q.HasSeq && it.Seq <= q.Seq {
		s.counters.notNewer.Add(1)
		return nil
	}
	// Aliased, not copied: a stored item never changes.
	r.V, r.K, r.Sig = it.V, it.K, it.Sig
	trimNodes(rq, n.Is6())
	s.counters.hits.Add(1)
	return nil
}

// find returns the item at target from own or, if that has none, from the shelf of a
// sibling: the other family's DHT may have put it there.
func (s *Items) find(own *shelf, target krpc.ID, now time.Time) (it *Item, left time.Duration, ok bool) {
	if it, left, ok = own.get(target, now); ok {
		return it, left, ok
	}
	for i := range s.shelves {
		if sibling := &s.shelves[i]; sibling != own {
			if it, left, ok = sibling.get(target, now); ok {
				return it, left, ok
			}
		}
	}
	return nil, 0, false
}

// trimNodes leaves out nodes until the reply is no longer than maxReply: those of the
// other family first, and the farthest of each.
func trimNodes(rq *krpc.Request, v6 bool) {
	r := &rq.Reply
	over := krpc.MaxReply - rq.Room() - maxReply
	other, otherLen, own, ownLen := &r.Nodes6, node6Len, &r.Nodes, node4Len
	if v6 {
		other, otherLen, own, ownLen = own, ownLen, other, otherLen
	}
	over = trimList(other, otherLen, over)
	trimList(own, ownLen, over)
}

// trimList removes entries of so many bytes from the end of a list until it is shorter
// by over bytes, or empty. It returns what is over still.
func trimList(list *[]byte, entry, over int) int {
	for over > 0 && len(*list) > 0 {
		*list = (*list)[:len(*list)-entry]
		over -= entry
	}
	return over
}

// servePut answers put: it stores the item. The endpoint has refused what lacks an
// argument (BEP 44): an item without k, sig and seq is an immutable one, and one with
// a part of them none at all.
func (s *Items) servePut(n *kademlia.Node, own *shelf, rq *krpc.Request) error {
	what, err := put(n, own, rq)
	if err != nil {
		s.counters.refused[refusalOf(err)].Add(1)
		return err
	}
	s.counters.puts[what].Add(1)
	return nil
}

// put checks what is cheap first. The signature, which costs a hundred times as much,
// is verified only for what would be stored else.
func put(n *kademlia.Node, own *shelf, rq *krpc.Request) (outcome, *krpc.Error) {
	o := offerOf(n, rq)
	it := &o.item
	if err := it.checkForm(); err != nil {
		return 0, err
	}
	o.target = it.Target()
	if !n.ValidToken(rq.Query.Token, rq.From.Addr(), o.target) {
		return 0, errBadToken
	}
	what, err := own.take(&o, nil)
	if err != nil || what != unverified {
		return what, err
	}
	if err := it.checkSignature(); err != nil {
		return 0, err
	}
	return own.take(&o, it.clone())
}

// offerOf returns what a put offers, but for the target. Arguments of mutable items
// mean nothing without k: anacrolix/dht sends seq with all.
func offerOf(n *kademlia.Node, rq *krpc.Request) offer {
	q := &rq.Query
	o := offer{item: Item{V: q.V}, from: payer(n, rq.From), self: n.ID(), now: rq.Now, life: Life}
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

// payer returns whom to charge for an item. Where local addresses are nodes like
// others they are free: a private network sits in one subnet.
func payer(n *kademlia.Node, from netip.AddrPort) netip.Addr {
	if krpc.Class(from.Addr()) == krpc.AddrClassLocal && n.Usable(from) {
		return netip.Addr{}
	}
	return from.Addr()
}
