package krpc

import "time"

// Whoever forges the source of a query has the reply sent to a victim. So a reply is at most so
// many times as long as its query, in bytes of UDP payload. The smallest query for peers, of 94
// bytes, still gets a hundred of them less ten. Who has proved his address gets values of items
// (BEP 44) that are longer, see Extend.
const (
	maxGain = 10
	// strainedGain holds while more comes in than can be answered, for who has not proved his
	// address: a flood of queries in the names of others is the likeliest reason. It is room for
	// eight nodes, a token, and some peers of IPv4: for what a lookup goes on with.
	strainedGain = 4
)

// Strainer is a Transport that can tell that datagrams come in faster than they are answered.
type Strainer interface {
	// Strained tells whether that is so now. It is called for each query, from any goroutine.
	Strained() bool
}

// strained tells whether a datagram that came at now is one more than can be answered.
func (e *Endpoint) strained(now time.Time) bool {
	if e.strainer == nil || !e.strainer.Strained() {
		return false
	}
	e.strangers.strain(now)
	return true
}

// Strained tells whether more came in than could be answered within the last ten seconds: replies
// to queries of ours may have been lost then, and who sent them is not to blame.
func (e *Endpoint) Strained(now time.Time) bool { return e.strangers.strainedWithin(floodAge, now) }

// limitReply sets how long the reply to rq, a query of size bytes, may be. It reports false if
// there is to be none. who is the standing of its sender if that has been found out.
func (e *Endpoint) limitReply(rq *Request, size int, strained bool, who standing) bool {
	rq.brief, rq.allowance = false, maxGain*size
	rq.limit = min(MaxReply, rq.allowance)
	if who == standingUnknown && (strained || e.Strained(rq.Now)) {
		who = e.standing(rq.From.Addr(), rq.Now)
	}
	if !strained || who == standingProven {
		return true
	}
	if !e.strangers.allow(who) {
		return false
	}
	e.counters.brief.Add(1)
	rq.brief, rq.limit = true, min(MaxReply, strainedGain*size)
	return true
}

// Brief tells whether the reply has to be a short one, since nobody knows whether the query comes
// from where it says, and we are under strain or do not wait to know. Then Room holds for values of
// items too.
func (rq *Request) Brief() bool { return rq.brief }

// Room returns how many bytes may still be added to the reply until it is as long as it may be
// on the wire: MaxReply, or less for a short query; below 0 if it is longer.
func (rq *Request) Room() int {
	limit := rq.limit
	if limit == 0 { // made by a test
		limit = MaxReply
	}
	return limit - rq.Reply.length()
}

// Extend lets the reply be limit bytes long, for the sake of a value that is sent whole or not at
// all. It reports false if it may be less, since nobody knows whether the query comes from where it
// says: see ErrUnproven. It is not for brief ones.
func (rq *Request) Extend(limit int) bool {
	rq.limit = limit
	if rq.proven == nil || rq.allowance >= limit || rq.proven.Has(rq.From.Addr(), rq.Now) {
		return true
	}
	rq.limit = rq.allowance
	return false
}

// Proved takes note that the sender of rq is where it says: it has sent back a token.
func (rq *Request) Proved() {
	if rq.proven != nil {
		rq.proven.Add(rq.From.Addr(), rq.Now)
	}
}
