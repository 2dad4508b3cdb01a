package main

import (
	"os"
	"runtime/debug"
)

// gcPercent is GOGC unless the environment sets it. Go's own 100 has a store that fills
// take twice its size of memory. A node makes little garbage, and what lives has few
// pointers to follow: to collect twice as often costs a fiftieth more processor time
// while the store fills, and nothing measurable after that.
const gcPercent = 50

// limitGarbage has the process keep less memory that is garbage.
func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
