package krpc

import (
	"net/netip"
	"time"
)

// Strainer is a Transport that can tell that datagrams come in faster than they are answered.
type Strainer interface {
	// Strained tells whether that is so now. It is called for each query, from any goroutine.
	Strained() bool
	// SetPreferred gives the transport a function that tells whose queries are to be delivered, if it
	// has to drop some. It may be called from any goroutine, and takes up to a millisecond.
	// SetPreferred is called once, before anything is delivered.
	SetPreferred(preferred func(now time.Time) *Preferred)
}

// standing is what is known of who asks in a flood. It begins with the first strain and ends when
// there was none for floodAge.
type standing uint8

const (
	standingUnknown  standing = iota // nobody has looked
	standingKnown                    // had proved his address before, or nobody has to
	standingRegular                  // had asked before
	standingJoined                   // has kept asking, and not too often
	standingSteady                   // keeps asking
	standingReturned                 // asks again
	standingFirst                    // any other
)

// asker is who asks in a flood.
type asker struct {
	standing standing
	proven   bool   // has proved his address
	hash     uint64 // of his address, 0 if nobody has to prove it
}

const (
	// knownBefore is how long before the first strain somebody has to be known, and heardAfter how long
	// after it he has to come, to be no part of what the flood has begun with.
	knownBefore = time.Second / 4
	heardAfter  = time.Second / 2
)

// BeginsAsQuery tells whether b begins as queries do whose keys are sorted (BEP 3): with that of the
// arguments. What begins otherwise may be one too.
func BeginsAsQuery(b []byte) bool { return len(b) >= 4 && string(b[:4]) == "d1:a" }

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

// recognize finds out who asks at now in a flood, and takes note of it.
func (e *Endpoint) recognize(from netip.Addr, now time.Time) asker {
	p := e.cfg.Proven
	if p == nil {
		return asker{standing: standingKnown, proven: true}
	}
	who, lasts := asker{hash: p.hash(from)}, e.strangers.lasts(now)
	since, proven := p.since(who.hash, now)
	who.proven = proven
	asked, listed := e.asked.touch(who.hash, now)
	switch {
	case proven && isBefore(since, lasts):
		who.standing = standingKnown
	case listed && isBefore(asked, lasts):
		who.standing = standingRegular
	case listed && isApart(asked, lasts):
		who.standing = standingJoined
	default:
		who.standing = e.strangers.note(who.hash, now)
	}
	return who
}

// isBefore tells whether somebody who has been there for so long was so before a flood that lasts for
// so long.
func isBefore(since, lasts time.Duration) bool { return since >= lasts+knownBefore }

// isApart tells whether somebody who has been in Endpoint.asked for so long is no part of what a
// flood has begun with that lasts for so long.
func isApart(since, lasts time.Duration) bool {
	return isBefore(since, lasts) || since+heardAfter <= lasts
}

// admit tells whether the query rq of size bytes is to be answered, and sets how long the reply may
// be. who is its sender if that has been found out.
func (e *Endpoint) admit(rq *Request, size int, strained bool, who asker) bool {
	from, now := rq.From.Addr(), rq.Now
	// The limit is asked for queries alone: replies to our own must not use it up.
	owes := e.limiter.Load().charge(from, now, e.strangers.strainedWithin(strictAge, now))
	switch owes {
	case overLimit:
		e.disown(who, now)
		fallthrough
	case inDebt:
		e.drop(DropRateLimited)
		return false
	}
	rq.brief, rq.allowance = false, maxGain*size
	rq.limit = min(MaxReply, rq.allowance)
	if !strained && !e.Strained(now) {
		e.acquaint(from, now)
		return true
	}
	if who.standing == standingUnknown {
		who = e.recognize(from, now)
	}
	if who.standing == standingSteady && owes == lowDebt {
		who.standing = standingJoined
		e.asked.join(who.hash, now, func(since time.Duration) bool { return isBefore(since, e.strangers.lasts(now)) })
	}
	if !strained || who.standing == standingKnown {
		return true
	}
	if !e.strangers.allow(who.standing) {
		e.drop(DropStrained)
		return false
	}
	if !who.proven {
		e.counters.brief.Add(1)
		rq.brief, rq.limit = true, min(MaxReply, strainedGain*size)
	}
	return true
}

// disown has somebody who asks too much under strain count as one who has come with the flood. He
// keeps his proof: it may be somebody else who asks in his name.
func (e *Endpoint) disown(who asker, now time.Time) {
	if who.hash > 0 && who.standing <= standingJoined {
		e.cfg.Proven.restart(who.hash, now)
		e.asked.remove(who.hash)
	}
}

// acquaint takes note, while there is no flood, of who asks, for when there is one.
func (e *Endpoint) acquaint(from netip.Addr, now time.Time) {
	if e.asked != nil {
		e.asked.add(e.cfg.Proven.hash(from), now)
	}
}
