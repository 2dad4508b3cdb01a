package kademlia

import (
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxVoters bounds the remembered votes; the oldest goes first.
	maxVoters = 64
	// minVoters is how many networks must have voted before anything is believed,
	// and minVotersChange before a believed address is given up for another.
	minVoters       = 4
	minVotersChange = 8
	// voteCooldown is the least time between two changes: an id change costs the
	// table, so nobody may cause many.
	voteCooldown = 10 * time.Minute
)

// seenAddr is an address that so many votes are for.
type seenAddr struct {
	addr  netip.Addr
	votes int
}

// addrVotes finds out our external address from the "ip" of replies (BEP 42).
// Each network has one vote, the winner needs two thirds of them, and a change
// needs more votes than the first choice does. It is not safe for concurrent use.
type addrVotes struct {
	voters  []uint32   // the digests of their networks, oldest vote first; see digest for IPv6
	votes   []uint8    // in the same order: which of seen each one is for
	seen    []seenAddr // no more than there may be votes
	current netip.Addr
	changed time.Time
}

// add counts the vote of the node at voter for addr and reports whether the
// external address has changed.
func (v *addrVotes) add(voter, addr netip.Addr, now time.Time) bool {
	addr = addr.Unmap()
	if voter.Is4() != addr.Is4() || krpc.Class(addr) != krpc.AddrClassPublic || krpc.Class(voter) != krpc.AddrClassPublic {
		return false
	}
	own := digest(networkIn(voter.As16()))
	if i := slices.Index(v.voters, own); i >= 0 {
		v.withdraw(i)
	} else if len(v.votes) == maxVoters {
		v.withdraw(0)
	}
	i := v.index(addr)
	v.seen[i].votes++
	v.voters, v.votes = append(v.voters, own), append(v.votes, uint8(i))
	if addr == v.current || !v.wins(v.seen[i].votes, now) {
		return false
	}
	v.current, v.changed = addr, now
	return true
}

// withdraw takes back the i-th vote.
func (v *addrVotes) withdraw(i int) {
	v.seen[v.votes[i]].votes--
	v.voters, v.votes = slices.Delete(v.voters, i, i+1), slices.Delete(v.votes, i, i+1)
}

// index returns the place of addr among those seen. It takes one that nobody votes for any
// more if addr is new.
func (v *addrVotes) index(addr netip.Addr) int {
	free := len(v.seen)
	for i := range v.seen {
		switch s := &v.seen[i]; {
		case s.addr == addr:
			return i
		case s.votes == 0:
			free = i
		}
	}
	if free == len(v.seen) {
		v.seen = append(v.seen, seenAddr{})
	}
	v.seen[free] = seenAddr{addr: addr}
	return free
}

// wins tells whether so many votes for an address that is not the current one are enough.
func (v *addrVotes) wins(votes int, now time.Time) bool {
	need := minVoters
	if v.current.IsValid() {
		if need = minVotersChange; now.Sub(v.changed) < voteCooldown {
			return false
		}
	}
	return len(v.votes) >= need && 3*votes >= 2*len(v.votes)
}
