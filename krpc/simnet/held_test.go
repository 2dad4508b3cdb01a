package simnet_test

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// nodeID is the id with which the endpoint of a trial answers, and pings whose queries it holds.
var nodeID = krpc.ID{9, 9, 9}

// The limit on what an endpoint holds, for how long it does, and what it leaves for a brief reply.
const (
	maxHeld  = 1024
	holdTime = time.Second
	briefest = 180
)

// heldQuery is a query that the endpoint is to hold: see krpc.ErrUnproven.
type heldQuery struct {
	from   netip.AddrPort
	tid    string
	target krpc.ID
	silent bool // its sender is read-only
	at     time.Time
	ping   string // the transaction id of its ping; none to who is read-only

	allowance int // bytes that may be sent for it
	full      int // bytes that may be sent once it is owed
}

// isOf tells whether a reply to from with this transaction id is to h.
func (h heldQuery) isOf(from netip.AddrPort, tid string) bool { return h.from == from && h.tid == tid }

// isLike tells whether h asks for the same as o.
func (h heldQuery) isLike(o heldQuery) bool {
	return h.from == o.from && h.target == o.target && h.silent == o.silent
}

// hold takes note that rq, which is being delivered, is held, or answered with the one before.
func (tr *trial) hold(rq *krpc.Request) {
	tid := string(rq.Query.TID)
	if !tr.delivers(rq.From, tid) || tr.waits {
		tr.t.Fatalf("%q of %v is to be held again", tid, rq.From)
	}
	if tr.closed {
		return // and is answered briefly
	}
	tr.waits = true
	h := heldQuery{from: rq.From, tid: tid, target: rq.Query.Target, silent: rq.Query.ReadOnly, at: tr.clock.Now(), allowance: 10 * tr.size}
	before := slices.IndexFunc(tr.held, func(o heldQuery) bool { return o.isLike(h) })
	if before >= 0 {
		o := tr.held[before]
		o.full = o.allowance + h.allowance
		h.ping, h.allowance = o.ping, o.full
		tr.owed = append(tr.owed, o)
		tr.held = slices.Delete(tr.held, before, before+1)
		if o.tid == tid {
			return // one answer for both
		}
	}
	switch {
	case len(tr.held) == maxHeld:
		tr.evicted = append(tr.evicted, tr.held[0])
		tr.held = tr.held[1:]
	}
	tr.held = append(tr.held, h)
}

// pinged takes note of a ping, for what is held.
func (tr *trial) pinged(to netip.AddrPort, m *krpc.Message, size int) {
	if len(tr.held) > 0 {
		if h := &tr.held[len(tr.held)-1]; tr.waits && h.isOf(to, tr.tid) && h.ping == "" && m.ID == nodeID && m.Method == krpc.MethodPing {
			h.ping = string(m.TID)
			h.allowance -= size
			return
		}
	}
	tr.t.Fatalf("pings %v with %+v", to, m)
}

// awaited returns the queries that are held whose senders have been pinged.
func (tr *trial) awaited() (list []heldQuery) {
	for _, h := range tr.held {
		if h.ping != "" {
			list = append(list, h)
		}
	}
	return list
}

// proves tells whether a reply is what a query that is held waits for, which is then owed.
func (tr *trial) proves(from netip.AddrPort, tid string) bool {
	i := slices.IndexFunc(tr.held, func(h heldQuery) bool { return h.from == from && h.ping == tid && tid != "" })
	if i < 0 {
		return false
	}
	tr.held[i].full = krpc.MaxDatagram
	tr.owed = append(tr.owed, tr.held[i])
	tr.held = slices.Delete(tr.held, i, i+1)
	return true
}

// paid takes note of an answer to a query that was held: with all that it asks for, if as much may
// be sent. It reports false if this is none.
func (tr *trial) paid(to netip.AddrPort, m *krpc.Message, size int) bool {
	i := slices.IndexFunc(tr.owed, func(h heldQuery) bool { return h.isOf(to, string(m.TID)) })
	if i < 0 {
		return false
	}
	o := tr.owed[i]
	if full := o.full-briefest >= maxItemReply; full != (m.V != nil) || !full && size > o.allowance {
		tr.t.Fatalf("answers %+v with %d bytes: %+v", o, size, m)
	}
	for j := range tr.held {
		if h := &tr.held[j]; h.isLike(o) {
			h.allowance -= size
		}
	}
	tr.owed = slices.Delete(tr.owed, i, i+1)
	return true
}

// lapsed takes note of the answer to a query whose sender has not proved his address.
func (tr *trial) lapsed(to netip.AddrPort, m *krpc.Message, size int) {
	for _, list := range []*[]heldQuery{&tr.evicted, &tr.held} {
		i := slices.IndexFunc(*list, func(h heldQuery) bool { return h.isOf(to, string(m.TID)) })
		if i < 0 {
			continue
		}
		if since := tr.clock.Now().Sub((*list)[i].at); m.V != nil || size > (*list)[i].allowance || list == &tr.held && since != holdTime {
			tr.t.Fatalf("answers %+v after %v with %d bytes: %+v", (*list)[i], since, size, m)
		}
		*list = slices.Delete(*list, i, i+1)
		return
	}
	tr.t.Fatalf("sends %+v to %v, which has not asked", m, to)
}
