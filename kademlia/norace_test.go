//go:build !race

package kademlia

// raceEnabled makes statistics short: the detector makes ten seconds of one.
const raceEnabled = false
