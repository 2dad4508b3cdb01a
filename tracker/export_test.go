package tracker

import (
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// Seed is the -seed flag, for the tests outside the package.
var Seed = seed

// RaceEnabled tells whether the race detector runs.
const RaceEnabled = raceEnabled

// Holds tells whether t's own store has a peer of ih.
func (t *Tracker) Holds(ih krpc.ID) bool {
	for _, v6 := range []bool{false, true} {
		o := SampleOptions{V6: v6, Max: 1}
		if peers, _ := t.store.SampleAndFull(nil, ih, o, netip.Addr{}, t.clock.Now()); len(peers) > 0 {
			return true
		}
	}
	return false
}
