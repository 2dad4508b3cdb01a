//go:build race

package main

// raceEnabled skips the tests that count allocations: the detector allocates.
const raceEnabled = true
