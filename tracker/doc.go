// Package tracker is the distributed tracker that the DHT exists for (BEP 5):
// for every info-hash that falls to this node it keeps the peers that announced
// themselves, and hands a random sample of them to whoever asks.
//
// They are in a Store. Swarms is the one in memory: bounded in bytes, sharded by
// info-hash, a few bytes a peer. Durable is a Swarms that survives the end of the
// process. Peers are soft state. They are forgotten when they have not announced
// themselves again for a lifetime, and a store that is full says so by
// withholding the token (BEP 33), so that the announcer turns to other nodes.
//
// The package is an application of the DHT: it knows the node that it runs on,
// which knows nothing of it.
package tracker
