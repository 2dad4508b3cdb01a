package kademlia

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxBootstrap bounds the bootstrap addresses that are pinged in one attempt.
	maxBootstrap = 32
	// The wait before the next attempt to join starts at minRetry and doubles up
	// to maxRetryAlone for a node that knows nobody, which costs nobody anything,
	// and up to maxRetryShallow for one with fewer than k contacts.
	minRetry        = time.Second
	maxRetryAlone   = time.Minute
	maxRetryShallow = 5 * time.Minute

	// freshState is the age up to which a saved state is as good as that of a node that
	// runs: that of a state file that is written in time.
	freshState = 2 * saveInterval
)

var (
	errNobody = errors.New("kademlia: join: no node answered")

	errNoneFits = errors.New("kademlia: join: no bootstrap address is of the family listened on and off the blocklist")

	// ErrNotJoined ends what waited in vain for the node to join the DHT.
	ErrNotJoined = errors.New("kademlia: not joined")
)

// join finds our place in the network: it pings the bootstrap nodes, looks up our
// own id, and once it knows k nodes refreshes every bucket farther than these
// (Maymounkov and Mazières, 2002, section 2.3). Until it has found k nodes it comes
// again soon, and for ever now and then: a bootstrap node may have been on the
// other side of a network that was cut in two.
func (n *Node) join() {
	if n.joining || n.closed {
		return
	}
	n.joining = true
	if n.cfg.Bootstrap == nil {
		n.lookupSelf(nil)
		return
	}
	n.later(func() { n.cfg.Bootstrap(n.pingBootstrap) })
}

// pingBootstrap goes on with join once the bootstrap addresses are known: all of
// them if the table is short of nodes, else one.
func (n *Node) pingBootstrap(addrs []netip.AddrPort, err error) {
	n.mu.Lock()
	defer n.unlock()
	if n.closed {
		return
	}
	given := len(addrs)
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool {
		return a.Addr().Is6() != n.v6 || !usable(a, true) || n.cfg.Blocklist.Contains(a.Addr())
	})
	if len(addrs) == 0 && given > 0 {
		err = errNoneFits
	}
	n.rng.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	limit := maxBootstrap
	if n.table.size() >= n.cfg.K {
		limit = 1
	}
	addrs = addrs[:min(len(addrs), limit)]
	if len(addrs) == 0 && n.table.size() == 0 && err != nil {
		n.joinEnds(err)
		return
	}
	n.lookupSelf(addrs)
}

// lookupSelf looks up our own id, from the table and from the bootstrap nodes that
// answer: none of them is relied on, so the lookup waits for all of them as long as
// they are not late.
func (n *Node) lookupSelf(bootstrap []netip.AddrPort) {
	self := n.table.self
	n.joinedAs = self
	t := n.lookupThen(Lookup{Target: self, expect: len(bootstrap)}, func(res LookupResult) {
		if len(res.Closest) == 0 {
			n.joinEnds(errNobody)
			return
		}
		n.joined = true
		n.tellJoined(nil)
		if n.refreshed || n.table.size() < n.cfg.K {
			n.joinEnds(nil) // see to the rest: the timer of idle buckets, the next attempt
			return
		}
		n.refreshed = true
		n.refresh(0, n.depth())
	})
	for _, a := range bootstrap {
		n.pingForLookup(a, t, 0)
	}
}

// pingForLookup pings a bootstrap node, up to maxTries times, and adds it to the
// lookup that expects it.
func (n *Node) pingForLookup(addr netip.AddrPort, t *traversal, before int) {
	settled := false
	settle := func(add func()) {
		if !settled {
			settled = true
			add()
			t.step()
		}
	}
	n.ask(&query{
		to:     krpc.NodeInfo{Addr: addr},
		method: krpc.MethodPing,
		onStall: func() {
			settle(func() {
				if before < maxTries-1 {
					n.pingForLookup(addr, t, before+1)
				} else {
					t.l.expecting--
				}
			})
		},
		onDone: func(r *krpc.Message, _ time.Duration, err error) {
			if err == nil {
				t.l.add(krpc.NodeInfo{ID: r.ID, Addr: addr}, 1) // a late one too
			}
			settle(func() { t.l.expecting-- })
			t.step()
		},
	})
}

// refresh looks up a random id in each of the buckets from i up to end, one after
// another.
func (n *Node) refresh(i, end int) {
	if i >= end {
		n.joinEnds(nil)
		return
	}
	n.lookupThen(Lookup{Target: idInBucket(n.table.self, i, n.rng), Later: true}, func(LookupResult) { n.refresh(i+1, end) })
}

// lookupThen runs a lookup and calls f under mu, unless the node was closed.
func (n *Node) lookupThen(l Lookup, f func(LookupResult)) *traversal {
	l.Done = func(res LookupResult) {
		n.mu.Lock()
		defer n.unlock()
		if !n.closed {
			f(res)
		}
	}
	return n.lookup(l)
}

// joinEnds ends an attempt to join and sets the time of the next one.
func (n *Node) joinEnds(err error) {
	n.joining = false
	if n.joinedAs != n.table.self && err == nil {
		n.join() // the id has changed meanwhile, and with it our place
		return
	}
	size := n.table.size()
	alone := n.cfg.Bootstrap == nil && size == 0
	if alone {
		err = nil // there is nobody to find; somebody may find us
	}
	if err != nil || alone {
		n.tellJoined(err)
	}
	if size >= n.cfg.K || alone {
		n.attempts = 0
		return
	}
	n.joinAgain(size)
}

// deserted takes note that the last contact is lost. The next attempt to join has been set for a
// node that knew somebody, if at all.
func (n *Node) deserted() {
	if n.started && !n.closed && !n.joining && n.cfg.Bootstrap != nil {
		n.joinAgain(0)
	}
}

// joinAgain sets the time of the next attempt to join, of a node that knows so many.
func (n *Node) joinAgain(size int) {
	limit := maxRetryShallow
	if size == 0 {
		limit = maxRetryAlone
	}
	wait := n.jitter(min(minRetry<<min(n.attempts, 10), limit))
	n.attempts++
	if n.joinTimer == nil {
		n.joinTimer = n.after(wait, n.join)
		n.timers = append(n.timers, n.joinTimer)
		return
	}
	n.joinTimer.Reset(wait)
}

// tellJoined tells the outcome of an attempt to join. A success is told as soon as
// our neighbours are found: the buckets are refreshed one after another, which
// takes longer than anybody wants to wait.
func (n *Node) tellJoined(err error) {
	if err == nil {
		n.callWhenJoined()
	}
	if n.cfg.Joined != nil {
		n.later(func() { n.cfg.Joined(err) })
	}
}

// restoreFresh takes the contacts that an earlier run saved just now for what they were: a
// successor serves its predecessor's table, or it would name nobody to those who ask it in its
// first moments.
func (n *Node) restoreFresh() {
	now := n.now()
	if age := now.Sub(n.cfg.State.Saved); age < -time.Second || age > freshState {
		return
	}
	for c := range n.restorable {
		n.table.responded(c, 0, now)
	}
}

// verifyRestored pings the contacts that an earlier run saved. They are hearsay until they
// answer, but for those that restoreFresh has taken.
func (n *Node) verifyRestored() {
	i := 0
	for c := range n.restorable {
		n.restoring++
		ping := func() {
			n.ask(&query{to: c, method: krpc.MethodPing, onDone: func(*krpc.Message, time.Duration, error) { n.restoring-- }})
		}
		if i < maxBootstrap {
			ping()
		} else {
			n.after(time.Duration(i/maxBootstrap)*n.jitter(pingPause), ping)
		}
		i++
	}
}

// restorable yields the contacts of an earlier run that may be some today.
func (n *Node) restorable(yield func(krpc.NodeInfo) bool) {
	for _, c := range n.cfg.State.Contacts {
		if c.Addr.Addr().Is6() == n.v6 && n.Usable(c.Addr) && !yield(c) {
			return
		}
	}
}
