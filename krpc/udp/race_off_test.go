//go:build !race

package udp

// raceEnabled says that the race detector runs, whose own allocations count.
const raceEnabled = false
