package scenario

import (
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

const (
	// watchEvery is how often a host is looked at: in each of its minutes a part of them.
	watchEvery = 5
	// opLimit is the longest that an operation may take: a lookup of 256 queries that all fail,
	// and the stores, with what waits for the outgoing limits.
	opLimit = 10 * time.Minute

	// tokenRotation is how often a node changes the secret of its tokens.
	tokenRotation = 5 * time.Minute
	// silence is the longest that a node with contacts asks nobody: it pings each after 15 minutes.
	silence = 20 * time.Minute
	// upkeepPause is the longest between two lookups for the sake of the table: half an hour, a
	// quarter of it, and the time of one.
	upkeepPause = 45 * time.Minute
	// alonePause is the longest between two attempts to join of a node that knows nobody: a minute,
	// a quarter of it, and the time of one.
	alonePause = 3 * time.Minute
	// announcePause is the longest between two queries for a tracked info-hash: an interval of
	// 15 minutes, a sixteenth, and the time of an announce.
	announcePause = 20 * time.Minute
	// inFlight is how long a query is under way at most: the hard timeout, and some.
	inFlight = 15 * time.Second
)

// watch holds all programs to the invariants from now on.
func (w *world) watch() {
	minute := 0
	var step func()
	step = func() {
		minute++
		for _, h := range w.hosts {
			if h.watched && h.index%watchEvery == minute%watchEvery && h.life != nil && !h.life.dead {
				h.life.check()
			}
		}
		for _, o := range w.ops {
			if o.took() > opLimit {
				w.broken("%v: a %s has been under way for %v", o.p.h.name(), o.what, o.took())
			}
		}
		w.measureLoad()
		w.clock.AfterFunc(time.Minute, step)
	}
	w.clock.AfterFunc(time.Minute, step)
}

// check holds the program to what must be true at any time.
func (p *program) check() {
	for i, n := range p.nodes {
		st := n.Stats()
		p.mustBeBounded(CheckBounds(NodeGauges(&st)))
		p.checkUpkeep(i, n, &st)
		p.checkTable(n)
	}
	ts, is, js := p.tracker.Stats(), p.items.Stats(), p.log.Stats()
	p.mustBeBounded(CheckBounds(TrackerGauges(&ts)))
	p.mustBeBounded(CheckBounds(ItemGauges(&is)))
	if p.h.disk != nil {
		p.mustBeBounded(CheckBounds(JournalGauges(&js)))
	}
	p.checkAnnounces()
	p.checkPromises()
	p.afterDisk()
}

func (p *program) mustBeBounded(err error) {
	if err != nil {
		p.h.w.broken("%v: %v", p.h.name(), err)
	}
}

// checkTable: nobody is a contact who has never answered.
func (p *program) checkTable(n *kademlia.Node) {
	for _, c := range n.State().Contacts {
		if _, ok := p.h.answered[c]; !ok {
			p.h.w.broken("%v has the contact %v at %v, who has never answered", p.h.name(), c.ID, c.Addr)
		}
	}
}

// upkeepSeen is what a node had done when it was last seen to do something.
type upkeepSeen struct {
	queries, upkeep     uint64
	queriesAt, upkeepAt time.Time
	aloneAt             time.Time // since when it has been seen to know nobody; zero: it knows somebody
}

// checkUpkeep: no timer of node i is lost.
func (p *program) checkUpkeep(i int, n *kademlia.Node, st *kademlia.Stats) {
	w, now, seen := p.h.w, p.h.clock.Now(), &p.seen[i]
	if w.clock.Now().Sub(p.h.jumped) < time.Minute {
		*seen = upkeepSeen{} // what was due is still being done
		return
	}
	if late := now.Sub(n.State().Tokens.Rotated) - tokenRotation; late > time.Second {
		w.broken("%v should have changed the secret of its tokens %v ago", p.h.name(), late)
	}
	queries, upkeep := countQueries(st)
	alone := st.Nodes() == 0
	if queries != seen.queries || seen.queriesAt.IsZero() || alone {
		seen.queries, seen.queriesAt = queries, now
	}
	if !alone {
		seen.aloneAt = time.Time{}
	} else if seen.aloneAt.IsZero() {
		seen.aloneAt = now
	}
	if upkeep != seen.upkeep || seen.upkeepAt.IsZero() || alone {
		seen.upkeep, seen.upkeepAt = upkeep, now
	}
	switch {
	case alone && now.Sub(p.resolved[i]) > alonePause && now.Sub(seen.aloneAt) > alonePause:
		w.broken("%v knows nobody, and has not tried to join for %v", p.h.name(), now.Sub(p.resolved[i]))
	case now.Sub(seen.queriesAt) > silence:
		w.broken("%v has contacts, and has asked nobody for %v", p.h.name(), now.Sub(seen.queriesAt))
	case now.Sub(seen.upkeepAt) > upkeepPause:
		w.broken("%v has not looked after its table for %v", p.h.name(), now.Sub(seen.upkeepAt))
	}
	if most := p.sent[i].lately(now); unanswered(st) > most {
		w.broken("%v waits for %d replies, and has sent %d queries lately: a timeout is lost", p.h.name(), unanswered(st), most)
	}
}

func countQueries(st *kademlia.Stats) (queries, upkeep uint64) {
	for _, m := range st.Endpoint.Methods {
		queries += m.QueriesOut
	}
	for _, l := range st.Lookups {
		if l.Kind == kademlia.LookupUpkeep {
			upkeep = l.Hops.Count()
		}
	}
	return queries, upkeep
}

// unanswered returns the number of queries that were sent and have not ended.
func unanswered(st *kademlia.Stats) (n uint64) {
	for _, m := range st.Endpoint.Methods {
		n += m.QueriesOut - m.RepliesIn - m.ErrorsIn - m.Timeouts
	}
	return n
}

// checkAnnounces: what is tracked is announced each interval. What fails for want of contacts sends
// no query, and is tried again an interval later.
func (p *program) checkAnnounces() {
	w, now := p.h.w, p.h.clock.Now()
	if w.clock.Now().Sub(p.h.jumped) < announcePause || !kademlia.AnyJoined(p.nodes) {
		p.joinedAt = time.Time{}
		return
	}
	if p.joinedAt.IsZero() {
		p.joinedAt = now
	}
	for _, s := range p.h.own {
		last := p.attempts[s.infoHash]
		for _, t := range [...]time.Time{p.joinedAt, p.met} {
			if last.Before(t) {
				last = t
			}
		}
		if pause := now.Sub(last); pause > announcePause && p.known() > 0 {
			w.broken("%v has not announced %v for %v", p.h.name(), s.infoHash, pause)
		}
	}
}

// meets is told of new contacts.
func (p *program) meets(krpc.NodeInfo) {
	handedOut := 0 // which is less work to count than what is known, and never more
	for _, n := range p.nodes {
		handedOut += len(n.Closest(n.ID(), 2))
	}
	if handedOut < 2 && p.known() == 1 {
		p.met = p.h.clock.Now()
	}
}

// known returns the number of contacts of all nodes.
func (p *program) known() (n int) {
	for _, node := range p.nodes {
		st := node.Stats()
		n += st.Nodes()
	}
	return n
}

// sentStats counts the queries that a node has sent lately: in this period of inFlight and in
// the one before.
type sentStats struct {
	began    time.Time
	now, old uint64
}

func (s *sentStats) add(now time.Time) {
	s.turn(now)
	s.now++
}

// lately returns how many were sent within inFlight, or some more.
func (s *sentStats) lately(now time.Time) uint64 {
	s.turn(now)
	return s.now + s.old
}

func (s *sentStats) turn(now time.Time) {
	age := now.Sub(s.began)
	if age < inFlight {
		return
	}
	if s.old = s.now; age >= 2*inFlight {
		s.old = 0
	}
	s.now, s.began = 0, now
}
