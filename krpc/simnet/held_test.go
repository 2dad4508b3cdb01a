package simnet_test

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// nodeID is the id with which the endpoint of a trial answers, and pings whose queries it holds.
var nodeID = krpc.ID{9, 9, 9}

// The limits on what an endpoint holds, and for how long it does.
const (
	maxHeld         = 64
	maxHeldOfSource = 4
	holdTime        = time.Second
)

// heldQuery is a query that the endpoint is to hold: see krpc.ErrUnproven.
type heldQuery struct {
	from   netip.AddrPort
	tid    string
	target krpc.ID
	at     time.Time
}

// hold takes note that the query rq waits for a proof, or tells that it is to be answered now.
func (tr *trial) hold(rq *krpc.Request) bool {
	again := slices.IndexFunc(tr.held, func(h heldQuery) bool { return h.from == rq.From && h.target == rq.Query.Target })
	if again >= 0 {
		tr.held = slices.Delete(tr.held, again, again+1)
		return false
	}
	ofSource := 0
	for _, h := range tr.held {
		if h.from.Addr() == rq.From.Addr() {
			ofSource++
		}
	}
	if tr.closed || len(tr.held) >= maxHeld || ofSource >= maxHeldOfSource {
		return false
	}
	tr.held = append(tr.held, heldQuery{rq.From, string(rq.Query.TID), rq.Query.Target, tr.clock.Now()})
	if !rq.Query.ReadOnly {
		tr.pings++
	}
	return true
}

// ping takes note of a ping of the endpoint itself, and returns it.
func (tr *trial) ping(to netip.AddrPort) *ownQuery {
	if tr.pings == 0 {
		tr.t.Fatalf("pings %v", to)
	}
	q := &ownQuery{tr: tr, to: to, method: krpc.MethodPing, ping: true}
	tr.queries = append(tr.queries, q)
	return q
}

// holds returns the index of a query that is held; -1 if it is not.
func (tr *trial) holds(from netip.AddrPort, tid string) int {
	return slices.IndexFunc(tr.held, func(h heldQuery) bool { return h.from == from && h.tid == tid })
}

// resumed takes note of the answer to a query that was held, which has an item if its sender has
// just proved his address, and else comes when its time is over.
func (tr *trial) resumed(to netip.AddrPort, m *krpc.Message) {
	i := tr.holds(to, string(m.TID))
	if i < 0 {
		tr.t.Fatalf("answers %v with %+v, which has not asked", to, m)
	}
	since := tr.clock.Now().Sub(tr.held[i].at)
	if proven := tr.from.Addr() == to.Addr(); proven != (m.V != nil) || !proven && since != holdTime || since > holdTime {
		tr.t.Fatalf("answers %v after %v with %+v; it has proved its address: %v", to, since, m, proven)
	}
	tr.held = slices.Delete(tr.held, i, i+1)
}

// checkHeld checks that nothing is held of an address that is proved.
func (tr *trial) checkHeld(proved netip.Addr) {
	if i := slices.IndexFunc(tr.held, func(h heldQuery) bool { return h.from.Addr() == proved }); i >= 0 {
		tr.t.Fatalf("%v has proved its address, and %+v is held", proved, tr.held[i])
	}
}
