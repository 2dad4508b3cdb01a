//go:build race

package journal_test

// raceEnabled shortens tests, and skips those that count allocations: the detector allocates.
const raceEnabled = true
