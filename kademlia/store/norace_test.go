//go:build !race

package store

// raceEnabled skips the tests that count allocations: the detector allocates.
const raceEnabled = false
