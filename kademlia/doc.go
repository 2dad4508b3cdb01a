// Package kademlia is a node of the BitTorrent mainline DHT: the routing table,
// the iterative lookup, joining and upkeep, write tokens and the rules of BEP 5,
// 32, 42, 43 and 45.
//
// A Node serves one address with an id and a table of its own. A DHT joins the
// nodes of all addresses of a program; it is what most programs want: New, Handle,
// Start, and Close in the end.
//
// Node is passive. It owns no goroutine, clock or socket: datagrams come in
// through Deliver, time through the krpc.Clock and randomness through the
// *rand.Rand of its Config, so that krpc/simnet can run thousands of nodes in one
// goroutine, the same way for the same seed. It is safe for concurrent use. The
// order of locks is node, endpoint, store; no callback is made, nothing is sent
// and no I/O is done while a lock is held.
package kademlia
