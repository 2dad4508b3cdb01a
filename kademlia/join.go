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
)

var errNobody = errors.New("kademlia: join: no node answered")

// join finds our place in the network: it pings the bootstrap nodes, looks up our
// own id, and the first time refreshes every bucket farther than that of our
// closest neighbour (Maymounkov and Mazières, 2002, section 2.3). Until it has
// found k nodes it comes again soon, and for ever now and then: a bootstrap node
// may have been on the other side of a network that was cut in two.
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
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool {
		return a.Addr().Is6() != n.v6 || !usable(a, true)
	})
	n.rng.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	limit := maxBootstrap
	if n.table.size() >= n.cfg.K {
		limit = 1
	}
	addrs = addrs[:min(len(addrs), limit)]
	if len(addrs) == 0 {
		n.bootstrapped(nil, err)
		return
	}
	waiting, started := len(addrs), false
	for _, a := range addrs {
		n.ask(&query{
			to:     krpc.NodeInfo{Addr: a},
			method: krpc.MethodPing,
			onDone: func(r *krpc.Message, _ time.Duration, err error) {
				waiting--
				if started || n.closed || err != nil && waiting > 0 {
					return
				}
				// The first answer is enough to go on with; so is the last failure.
				started = true
				var via []krpc.NodeInfo
				if err == nil {
					via = []krpc.NodeInfo{{ID: r.ID, Addr: a}}
				}
				n.bootstrapped(via, nil)
			},
		})
	}
}

// bootstrapped goes on with join when the bootstrap nodes have been tried.
func (n *Node) bootstrapped(via []krpc.NodeInfo, err error) {
	if n.table.size() > 0 || via != nil {
		if n.cfg.ReadOnly && via != nil {
			// It has no place in the network to find first: it may ask at once.
			n.joined = true
			n.tellJoined(nil)
		}
		n.lookupSelf(via)
		return
	}
	if err == nil {
		err = errNobody
	}
	n.joinEnds(err)
}

func (n *Node) lookupSelf(via []krpc.NodeInfo) {
	self := n.table.self
	n.joinedAs = self
	n.lookupThen(Lookup{Target: self, via: via}, func(res LookupResult) {
		if len(res.Closest) == 0 {
			n.joinEnds(errNobody)
			return
		}
		n.tellJoined(nil)
		if n.joined && n.table.size() >= n.cfg.K {
			n.joinEnds(nil) // the timer of the idle buckets sees to the rest
			return
		}
		n.joined = true
		n.refresh(0, self.CommonPrefixLen(res.Closest[0].ID))
	})
}

// refresh looks up a random id in each of the buckets from i up to end, one after
// another.
func (n *Node) refresh(i, end int) {
	if i >= end {
		n.joinEnds(nil)
		return
	}
	n.lookupThen(Lookup{Target: idInBucket(n.table.self, i, n.rng)}, func(LookupResult) { n.refresh(i+1, end) })
}

// lookupThen runs a lookup and calls f under mu, unless the node was closed.
func (n *Node) lookupThen(l Lookup, f func(LookupResult)) {
	l.Done = func(res LookupResult) {
		n.mu.Lock()
		defer n.unlock()
		if !n.closed {
			f(res)
		}
	}
	n.lookup(l)
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
	if n.cfg.Joined != nil {
		n.later(func() { n.cfg.Joined(err) })
	}
}

// verifyRestored pings the contacts that an earlier run saved. They are hearsay
// until they answer.
func (n *Node) verifyRestored() {
	for i, c := range n.cfg.State.Contacts {
		if c.Addr.Addr().Is6() != n.v6 || !n.Usable(c.Addr) {
			continue
		}
		ping := func() { n.ask(&query{to: c, method: krpc.MethodPing}) }
		if i < maxBootstrap {
			ping()
			continue
		}
		n.after(time.Duration(i/maxBootstrap)*n.jitter(pingPause), ping)
	}
}
