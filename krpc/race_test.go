//go:build race

package krpc

// raceEnabled skips the tests that count allocations: the detector allocates.
const raceEnabled = true
