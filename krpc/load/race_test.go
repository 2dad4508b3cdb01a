//go:build race

package load

// raceEnabled skips the tests that count allocations: the detector allocates.
const raceEnabled = true
