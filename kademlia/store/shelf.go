package store

import (
	"bytes"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// shelf is where the items are that one node keeps for others.
//
// A shelf may be shared with other programs: what is there, and in what version, can change
// between any two calls, and each call is answered by what is there then. No method waits for
// a disk or a network: they are called where packets are answered. All are safe for concurrent
// use.
type shelf interface {
	// get returns the item at target, which never changes, and how long it is still kept.
	get(target krpc.ID, now time.Time) (it *Item, left time.Duration, ok bool)
	// take weighs an offer, and stores it if verified is set: a copy of its item that is
	// genuine. Else it only tells what would become of it, so that no signature is verified
	// for an item that is refused anyway; but the very item that is held already is genuine,
	// and refreshed at once. The shelf keeps verified, and nothing else of o.
	take(o offer, verified *Item) (outcome, *krpc.Error)
	// takeDue returns an item that is due to be republished from here, and puts it off as if
	// that had been done: nobody else is given it. If there is none, ok is false, and next is
	// when there will be, unless one comes with a put; zero: nothing is held.
	takeDue(now time.Time) (target krpc.ID, next time.Time, ok bool)
	// putOff lets the item at target, if there is one, be due at a time of the caller's
	// choice, unless it is put again before.
	putOff(target krpc.ID, until time.Time)
	// within returns the targets of the items that share a prefix of at least that length
	// with the id of the node that was offered the last one. Some may be gone by the time
	// get asks for them.
	within(prefix int) []krpc.ID
	// empty tells whether nothing is held.
	empty() bool
	// sweep gives back the memory of items that have expired, a bounded number of them, and
	// returns when to be called again.
	sweep(now time.Time) (next time.Time)
	// addTo adds its figures to st.
	addTo(st *Stats)
}

// limits are the bounds of one shelf.
type limits struct {
	bytes            int
	perIP, perSubnet int // items
	k                int // nodes that hold an item, if all goes well
}

// offer is an item that somebody wants kept, and how.
type offer struct {
	item   Item // aliases the packet
	target krpc.ID
	cas    int64 // the Seq that it is to replace, if hasCas
	hasCas bool
	life   time.Duration // how long to keep it, at most Life
	from   payer         // whom to charge
	self   krpc.ID       // the node's id
	now    time.Time
}

// outcome is what has become of an offer that was not refused.
type outcome uint8

const (
	unverified outcome = iota // it would be stored, once it is known to be genuine
	stored                    // new, or a new version
	refreshed                 // it was there, and is kept for longer
	ignored                   // its life is over

	numOutcomes = iota
)

// conflict returns why o may not replace held (BEP 44), or nil.
func (o *offer) conflict(held *Item) *krpc.Error {
	it := &o.item
	switch {
	case o.hasCas && it.Mutable() && o.cas != held.Seq:
		return errCasMismatch
	case it.Seq < held.Seq,
		it.Seq == held.Seq && !bytes.Equal(it.V, held.V),
		it.Mutable() != held.Mutable(): // a key can be mined that is a value as well
		return errSeqTooOld
	}
	return nil
}
