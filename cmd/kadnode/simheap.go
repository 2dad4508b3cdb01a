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
	// world is to fit into 4 GiB, with room for what is not the heap's.
	worldsMemory = 7 << 29
	// programMemory is the same for each program, of which half is in use in a large world: to
	// collect for less than that would take more time than the world does.
	programMemory = 128 << 10
)

// heapOfWorlds sets when garbage is collected while worlds of so many programs run, unless the
// environment does, and returns what sets it back.
func heapOfWorlds(programs int) (restore func()) {
	gc, memory := debug.SetGCPercent(-1), debug.SetMemoryLimit(-1)
	debug.SetGCPercent(gc)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(worldsGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max(worldsMemory, int64(programs)*programMemory))
	}
	return func() {
		debug.SetGCPercent(gc)
		debug.SetMemoryLimit(memory)
	}
}
