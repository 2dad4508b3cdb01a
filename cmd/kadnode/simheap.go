package main

import (
	"os"
	"runtime/debug"
)

const (
	// worldsGC is how far the heap grows before it is collected, in percent of what is in use: that
	// is little in most worlds, and they make much garbage.
	worldsGC = 400
	// worldsMemory is what the process takes before it collects more often instead, in bytes: a
	// large world is to fit into 4 GiB, with room for what is not the heap's.
	worldsMemory = 7 << 29
)

// heapOfWorlds sets when garbage is collected while worlds run, unless the environment does, and
// returns what sets it back.
func heapOfWorlds() (restore func()) {
	gc, memory := debug.SetGCPercent(-1), debug.SetMemoryLimit(-1)
	debug.SetGCPercent(gc)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(worldsGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(worldsMemory)
	}
	return func() {
		debug.SetGCPercent(gc)
		debug.SetMemoryLimit(memory)
	}
}
