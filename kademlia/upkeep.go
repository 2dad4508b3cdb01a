package kademlia

import (
	"math"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// selfLookupInterval is how often the neighbourhood is looked up again.
	selfLookupInterval = 30 * time.Minute
	// settleDelay is when it is looked up for the second time: who joined while we
	// did is known to it by then.
	settleDelay = 5 * time.Minute
	// refreshTick spreads the refresh of idle buckets: one at each tick.
	refreshTick = 30 * time.Second
	// memoryTick is how often the memory is searched for what is too old.
	memoryTick = 5 * time.Minute
	// pingBatch bounds the questionable contacts pinged at a time.
	pingBatch = 4
	pingPause = time.Second

	// maxVerifying bounds the strangers that wait for a ping, or for its answer. A
	// quarter is kept for those who need not wait long, and for other hosts than
	// one. A public network takes one place.
	maxVerifying = 64
	maxDelayed   = maxVerifying * 3 / 4
	// eagerSize is the table size below which strangers are pinged soon, so
	// that a network that starts together forms. So are new neighbours, whom only
	// we can name to others. The rest has to wait for verifyDelay: a node behind a
	// NAT that has just sent us a query can be reached for about that long, and by
	// nobody else. Whoever did not wait is pinged again when it is over.
	eagerSize   = 32
	verifyDelay = 2 * time.Minute
	// eagerDelay lets the answer to a stranger's query, and some more of them, go
	// before our own first one to it.
	eagerDelay = 100 * time.Millisecond
	// shortTable is the size below which the other family is asked for help.
	shortTable = 30
)

// startUpkeep sets the timers that run until Close.
func (n *Node) startUpkeep() {
	n.tokenTimer = n.after(n.tokens.untilRotation(n.now()), n.rotateTokens)
	n.timers = append(n.timers, n.tokenTimer)
	n.every(memoryTick, func() { n.table.memory.expire(n.table.at(n.now())) })
	n.every(refreshTick, n.refreshOne)
	n.every(selfLookupInterval, n.join)
	n.timers = append(n.timers, n.after(n.jitter(settleDelay), n.join))
	n.pingTimer = n.after(n.jitter(questionableAge), n.pingQuestionable)
	n.timers = append(n.timers, n.pingTimer)
}

func (n *Node) rotateTokens() {
	n.tokens.rotate(n.now(), n.rng)
	n.tokenTimer.Reset(tokenRotation)
}

// refreshOne looks up a random id in the bucket that has been idle the longest.
func (n *Node) refreshOne() {
	if idle := n.table.idle(n.now(), n.depth(), n.rng); len(idle) > 0 && !n.joining {
		n.lookup(Lookup{Target: idle[0], Later: true})
	}
}

// spareDepth is how many buckets deeper a table may be than its DHT is large.
const spareDepth = 8

// depth returns how many buckets are worth a lookup. Who has k ids next to ours makes the table as
// deep as he likes, and has us look up his neighbourhood instead of others.
func (n *Node) depth() int {
	depth := n.table.depth()
	if shell := n.outerShell(); shell >= 0 {
		depth = min(depth, shell+spareDepth)
	}
	return depth
}

// pingQuestionable pings a few of the contacts that are due, and comes again
// when more are.
func (n *Node) pingQuestionable() {
	now := n.now()
	due, next := n.table.pings(now, pingBatch)
	for _, c := range due {
		n.table.pinged(c.ID, now)
		n.ask(&query{to: c, method: krpc.MethodPing, later: true})
	}
	// Contacts on probation may come in before next.
	n.pingTimer.Reset(max(min(next.Sub(now), n.jitter(verifyDelay)), n.jitter(pingPause)))
}

// heard takes note of the sender of a query. It is on the packet path: it
// touches nothing where the query cannot matter, and waits for nobody.
func (n *Node) heard(rq *krpc.Request) {
	from := krpc.NodeInfo{ID: rq.Query.ID, Addr: rq.From}
	if from.Addr.Addr().Is6() != n.v6 || !n.view.Load().interest(from.ID) || !n.Usable(from.Addr) {
		return
	}
	if !n.mu.TryLock() {
		return // It is only a hint, and there will be others.
	}
	defer n.unlock()
	if n.table.queried(from, rq.Now) && rq.ReservePing() {
		n.verify(from)
	}
}

// suggest hands a node of the other family, heard of in a reply, to the sibling
// that can use it (BEP 32, "Bootstrapping").
func (n *Node) suggest(node krpc.NodeInfo) {
	for _, s := range n.siblings {
		if s.v6 == node.Addr.Addr().Is6() && s.Usable(node.Addr) {
			n.later(func() {
				s.mu.Lock()
				defer s.unlock()
				if s.table.size() < shortTable && s.table.unknown(node, s.now()) {
					s.verify(node)
				}
			})
		}
	}
}

// wanted returns what our lookups ask for: both families while a sibling of the
// other one is short of nodes, else nothing, which means our own (BEP 32).
func (n *Node) wanted() krpc.Want {
	for _, s := range n.siblings {
		if s.v6 != n.v6 && s.short() {
			return krpc.WantN4 | krpc.WantN6
		}
	}
	return 0
}

// short tells from the published view, without the lock, whether the table is
// short of nodes.
func (n *Node) short() bool { return n.view.Load().size < shortTable }

// newcomer is a node that has asked us and is to be pinged, or has been. In a world that forms
// every node has dozens, so it is laid out to be small.
type newcomer struct {
	due instant // when to ping it
	address
	delayed bool // not soon
	asked   bool
}

// verify pings a stranger that the table has room for: soon if it is needed or
// local, else after a longer delay.
func (n *Node) verify(node krpc.NodeInfo) {
	s := newcomer{address: addressOf(node.Addr)}
	s.delayed = diverse(node.Addr.Addr()) && n.table.size() >= eagerSize && !n.table.neighbour(node.ID)
	if n.closed || !n.mayVerify(s) {
		return
	}
	delay := eagerDelay
	if s.delayed {
		delay = verifyDelay
	}
	s.due = n.table.at(n.now().Add(n.jitter(delay)))
	n.verifying = append(n.verifying, s)
	n.awaitNewcomers()
}

// awaitNewcomers sets the timer for the next of them. There is one for all, as there may be many.
func (n *Node) awaitNewcomers() {
	next := instant(math.MaxInt64)
	for i := range n.verifying {
		if s := &n.verifying[i]; !s.asked {
			next = min(next, s.due)
		}
	}
	if next == math.MaxInt64 {
		return
	}
	delay := time.Duration(next - n.table.at(n.now()))
	if n.verifyTimer == nil {
		n.verifyTimer = n.after(delay, n.pingNewcomers)
		n.timers = append(n.timers, n.verifyTimer)
		return
	}
	n.verifyTimer.Reset(delay)
}

func (n *Node) pingNewcomers() {
	now := n.table.at(n.now())
	for i := range n.verifying {
		if s := &n.verifying[i]; !s.asked && s.due <= now {
			s.asked = true
			n.pingStranger(*s)
		}
	}
	n.awaitNewcomers()
}

// mayVerify tells whether there is a place for s among those that are verified.
func (n *Node) mayVerify(s newcomer) bool {
	delayed, local := 0, 0
	network, public := networkIn(s.ip), diverse(s.addr())
	for i := range n.verifying {
		o := &n.verifying[i]
		if o.address == s.address || public && networkIn(o.ip) == network {
			return false
		}
		if o.delayed {
			delayed++
		}
		if o.ip == s.ip {
			local++
		}
	}
	return len(n.verifying) < maxVerifying && local < maxDelayed && !(s.delayed && delayed >= maxDelayed)
}

func (n *Node) pingStranger(s newcomer) {
	n.ask(&query{
		to:     krpc.NodeInfo{Addr: s.addrPort()},
		method: krpc.MethodPing,
		later:  true,
		onDone: func(r *krpc.Message, _ time.Duration, err error) {
			n.verifying = slices.DeleteFunc(n.verifying, func(o newcomer) bool { return o.address == s.address })
			if len(n.verifying) == 0 {
				n.verifying = nil // few come to a node that has settled
			}
			if !s.delayed && err == nil {
				n.table.probation(r.ID, n.now())
			}
		},
	})
}

// welcomed takes note of a new contact. The first one ends our loneliness: it has
// to be pinged in time, and it may know others. With k of them we have joined.
func (n *Node) welcomed(c krpc.NodeInfo) {
	if !n.started || n.closed {
		return
	}
	for _, f := range n.onContact {
		n.later(func() { f(c) })
	}
	switch size := n.table.size(); {
	case size == 1:
		n.pingTimer.Reset(n.jitter(questionableAge))
		n.join()
	case size >= n.cfg.K && !n.joined:
		n.joined = true
		n.tellJoined(nil)
	}
}
