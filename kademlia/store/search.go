package store

import (
	"bytes"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// search is a get lookup for the item at target at every node at once, after a look at
// our own shelves. Its fields are used by its callbacks alone.
type search struct {
	kademlia.Lookups
	items  *Items
	target krpc.ID
	o      GetOptions
	kind   kademlia.LookupKind
	only   *kademlia.Node // the one to search from; nil: all

	holders []holder // at most one for each reply
	best    *Item    // the newest one, at the target beyond doubt; nil: none
}

// holder is a node that has answered with an item, or with what is to pass for one.
type holder struct {
	node  int           // of ours, whose lookup came upon it
	id    krpc.NodeInfo // the zero one for that node of ours itself
	lied  bool          // what it sent does not belong at the target
	item  *Item         // nil: it sent no more than seq
	seq   int64         // only as good as its word if item is nil
	until time.Time     // the end of the item's life; zero: it did not say
}

// start begins the search; ended is called when all lookups have ended.
func (s *search) start(ended func()) {
	s.Do(func() {
		s.addHeld()
		if s.settled() {
			ended()
			return
		}
		nodes := s.items.nodes
		if s.only != nil {
			nodes = make([]*kademlia.Node, len(nodes))
			nodes[slices.Index(s.items.nodes, s.only)] = s.only
		}
		s.Start(nodes, s.lookup, ended)
	})
}

// lookup returns what node i looks up.
func (s *search) lookup(i int) kademlia.Lookup {
	return kademlia.Lookup{
		Target: s.target,
		Kind:   s.kind,
		Method: krpc.MethodGet,
		Fill: func(m *krpc.Message) {
			m.HasTarget, m.Target = true, s.target
			if s.o.Seen != nil {
				m.HasSeq, m.Seq = true, *s.o.Seen
			}
		},
		Tokens: s.kind != kademlia.LookupGet,
		Wide:   s.kind == kademlia.LookupGet,
		Visit:  func(from krpc.NodeInfo, r *krpc.Message) { s.visit(i, from, r) },
	}
}

// addHeld takes in what we hold for others ourselves, which is genuine.
func (s *search) addHeld() {
	now := s.items.clock.Now()
	for i := range s.items.shelves {
		if it, left, ok := s.items.shelves[i].get(s.target, now); ok {
			s.add(holder{node: i, item: it, seq: it.Seq, until: now.Add(left)})
		}
	}
}

// visit takes in the reply to lookup i.
func (s *search) visit(i int, from krpc.NodeInfo, r *krpc.Message) {
	h := holder{node: i, id: from, seq: r.Seq}
	if r.HasTTL {
		left := time.Duration(min(max(r.TTL, 0), int64(Life/time.Second))) * time.Second
		h.until = s.items.clock.Now().Add(left)
	}
	switch {
	case r.V != nil:
		h.item = s.genuine(r)
		h.lied = h.item == nil
	case r.HasSeq: // It has nothing newer than what we know, or so it says.
		h.lied = s.o.Seen == nil || r.Seq > *s.o.Seen
	default:
		return
	}
	s.add(h)
	if s.settled() {
		s.Finish()
	}
}

func (s *search) add(h holder) {
	s.holders = append(s.holders, h)
	if h.item != nil && (s.best == nil || h.item.beats(s.best)) {
		s.best = h.item
	}
}

// genuine returns the item in r, whose memory is ours, if it belongs at the target,
// and else nil. The same bytes are not verified twice.
func (s *search) genuine(r *krpc.Message) *Item {
	it := &Item{V: r.V}
	if r.K != nil {
		it.K, it.Salt, it.Seq, it.Sig = r.K, s.o.Salt, r.Seq, r.Sig
	}
	if it.Target() != s.target {
		return nil
	}
	for i := range s.holders {
		if known := s.holders[i].item; known != nil && known.same(it) {
			return known
		}
	}
	if it.Check() != nil {
		return nil
	}
	return it
}

// settled tells whether no reply can change the outcome any more: an immutable item
// was found, and nobody needs to know where to put it.
func (s *search) settled() bool {
	return s.kind == kademlia.LookupGet && s.best != nil && !s.best.Mutable()
}

// holder returns what the node id has said to lookup i; nil: nothing of an item.
func (s *search) holder(i int, id krpc.NodeInfo) *holder {
	for j := range s.holders {
		if h := &s.holders[j]; h.node == i && h.id == id {
			return h
		}
	}
	return nil
}

// same tells whether it and o, of one target, are the same to the byte.
func (it *Item) same(o *Item) bool {
	return it.Seq == o.Seq && bytes.Equal(it.V, o.V) && bytes.Equal(it.Sig, o.Sig)
}

// beats tells whether readers prefer it to o, of the same target: the higher Seq, and
// of two values with one Seq the greater, so that all of them agree.
func (it *Item) beats(o *Item) bool {
	return it.Seq > o.Seq || it.Seq == o.Seq && bytes.Compare(it.V, o.V) > 0
}

// rivals tells whether two writers have made it and o, of the same target, each without
// knowing of the other.
func (it *Item) rivals(o *Item) bool { return it.Seq == o.Seq && !bytes.Equal(it.V, o.V) }
