// Package schedule runs jobs again and again: what a node announces or puts must be
// announced or put anew before others forget it.
//
// Each job has a slot of its own within the interval, and the slots are spread evenly,
// so that the load is the same at any time even if all jobs were added at once: then
// they are a convoy the first time only, spread by nothing but the bound on the runs
// at a time. A run that fails is repeated sooner.
//
// Like the nodes it is passive: it owns no goroutine, and clock and randomness are
// given to it.
package schedule
