package store

import (
	"iter"
	"log/slog"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// heldState is what the nodes keep for others, as a journal.State.
type heldState struct {
	nodes   []*kademlia.Node
	shelves []*durable // of nodes, in their order
	log     *slog.Logger
	dropped bool // some items, as the log says
}

// Replay implements journal.State.
func (s *heldState) Replay(b []byte, _, now time.Time) error {
	var r record
	if err := r.decode(b); err != nil {
		return err
	}
	i, ok := s.shelfOf(r.home)
	if !ok {
		s.drop(&r, now)
		return nil
	}
	if own := s.shelves[i]; r.kind != recordEviction || r.home == own.home {
		own.replay(&r, s.nodes[i].ID(), now)
	}
	return nil
}

// shelfOf returns the shelf of the node that listens on an address, or else on another one of
// the same family.
func (s *heldState) shelfOf(home netip.AddrPort) (i int, ok bool) {
	for j, own := range s.shelves {
		if own.home == home {
			return j, true
		}
		if !ok && own.home.Addr().Is4() == home.Addr().Is4() {
			i, ok = j, true
		}
	}
	return i, ok
}

func (s *heldState) drop(r *record, now time.Time) {
	if !s.dropped && r.expires.After(now) {
		s.dropped = true
		s.log.Warn("items are dropped: nothing listens on the address that they were put at, nor on another of its family",
			"address", r.home)
	}
}

// Records implements journal.State.
func (s *heldState) Records(time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, own := range s.shelves {
			for b := range own.records() {
				if !yield(b) {
					return
				}
			}
		}
	}
}

// settle applies the bounds to what was replayed, which may be those of another configuration.
func (s *heldState) settle(now time.Time) {
	for _, own := range s.shelves {
		own.settle(now)
	}
}

// replay takes in r, at a node with the id self.
//
// No bounds apply, and nothing expires but the item of the record itself, as of the time when
// it was put: what has expired by one record was put again in time by the next, and what has
// the room of another has a record of giving way. So after the last one that is there, in its
// order, which was there in the end; settle does the rest.
func (d *durable) replay(r *record, self krpc.ID, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arrange(self)
	put := now.Add(min(0, r.received.Sub(now))) // clocks are set back
	o := offer{item: r.item, target: r.target, life: min(r.expires.Sub(put), Life), from: r.from, self: self, now: put}
	e := d.entries[r.target]
	if e != nil && (r.kind == recordEviction || e.expired(put)) {
		d.remove(e)
		e = nil
	}
	switch {
	case r.kind == recordEviction, o.life <= 0, e == nil && !r.stored():
		return
	case e != nil && (!r.expires.After(e.received) || r.stored() && o.conflict(e.item) != nil):
		return // its end came before, or it was the older version
	}
	latest := r.times
	if e != nil && !e.received.Before(r.received) {
		latest = e.times()
	}
	if r.stored() && (e == nil || e.item.Seq < r.item.Seq) {
		d.limit(put)
		e = d.file(e, &o, r.item.clone())
	}
	d.refresh(e, &o)
	d.restore(e, latest, now)
}

// limit keeps a replay from taking more than twice the memory that it is to end with.
func (d *durable) limit(put time.Time) {
	if d.bytes-d.limits.bytes > d.limits.bytes {
		d.forget(put, len(d.expiries))
		d.makeRoom(-d.limits.bytes)
	}
}

// restore sets when e was received, and when it is due: anew if that is past.
func (d *durable) restore(e *entry, t times, now time.Time) {
	e.received = now.Add(min(0, t.received.Sub(now)))
	wait := t.due.Sub(now)
	if wait <= 0 || wait > Life {
		wait = d.republishAfter()
	}
	d.dues.Move(&e.due, now.Add(wait))
}

// settle removes what has expired and what is beyond the bounds, the farthest first.
func (d *durable) settle(now time.Time) {
	for !d.sweep(now).After(now) {
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.makeRoom(0)
	for _, r := range d.rows {
		for e := r.first; e != nil; {
			next := e.next
			if d.charges.exceeded(e.from, d.limits) {
				d.remove(e)
			}
			e = next
		}
	}
}
