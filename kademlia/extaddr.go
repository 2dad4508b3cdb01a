package kademlia

import (
	"net/netip"
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

// vote says at which address a voter sees us.
type vote struct {
	voter netip.Prefix
	addr  netip.Addr
}

// addrVotes finds out our external address from the "ip" of replies (BEP 42).
// Each network has one vote, the winner needs two thirds of them, and a change
// needs more votes than the first choice does. It is not safe for concurrent use.
type addrVotes struct {
	votes   []vote // oldest first
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
	network := subnetOf(voter)
	for i := range v.votes {
		if v.votes[i].voter == network {
			v.votes = append(v.votes[:i], v.votes[i+1:]...)
			break
		}
	}
	if len(v.votes) == maxVoters {
		v.votes = append(v.votes[:0], v.votes[1:]...)
	}
	v.votes = append(v.votes, vote{network, addr})
	if addr == v.current || !v.wins(addr, now) {
		return false
	}
	v.current, v.changed = addr, now
	return true
}

func (v *addrVotes) wins(addr netip.Addr, now time.Time) bool {
	need := minVoters
	if v.current.IsValid() {
		if need = minVotersChange; now.Sub(v.changed) < voteCooldown {
			return false
		}
	}
	n := 0
	for _, w := range v.votes {
		if w.addr == addr {
			n++
		}
	}
	return len(v.votes) >= need && 3*n >= 2*len(v.votes)
}
