// Package store is Kademlia's STORE and FIND_VALUE for the items of BEP 44: it keeps
// items for others at the nodes of one program, and puts and gets items of its own.
//
// Like the nodes it is passive: it owns no goroutine, and clock, randomness and
// transport are theirs. An Items is safe for concurrent use.
package store
