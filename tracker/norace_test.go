//go:build !race

package tracker

// raceEnabled skips the tests that count allocations: the detector allocates.
const raceEnabled = false
