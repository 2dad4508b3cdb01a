// Package schedule runs jobs again and again: what a node announces or puts must be
// announced or put anew before others forget it.
//
// Each job has a slot of its own within the interval, which follows from its key: an
// interval is one sweep of the keyspace, and so is what was added at once, or has become
// late. Who is asked about one key is near to the next, and need not be looked for again.
// Keys are hashes, so that the load is the same at any time. A run that fails is repeated
// sooner.
//
// Like the nodes it is passive: it owns no goroutine, and clock and randomness are
// given to it.
package schedule
