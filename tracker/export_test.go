package tracker

import "github.com/kadnode/kadnode/krpc"

// Seed is the -seed flag, for the tests outside the package.
var Seed = seed

// RaceEnabled tells whether the race detector runs.
const RaceEnabled = raceEnabled

// Holds tells whether t's own store has a peer of ih.
func (t *Tracker) Holds(ih krpc.ID) bool {
	seeds, leechers := t.swarms.Count(ih, t.clock.Now())
	return seeds+leechers > 0
}
