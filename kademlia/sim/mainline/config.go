// Package mainline emulates the mainline DHT as measurements describe it, slow,
// lossy and full of corpses, and measures lookup policies in it: the node of
// package kademlia beside others. The nodes around the one that is measured are
// not real: what one knows and answers is computed when it is asked, so that a
// hundred thousand of them cost no more than their ids.
package mainline

import "time"

// Config describes a network. Shares and probabilities are from 0 to 1.
type Config struct {
	Nodes int // that are alive
	Seed  uint64

	// Round-trip times are lognormal, one for each pair of nodes, but for those of
	// the nodes that are slow with everybody: SlowFrom and an exponential time more.
	MedianRTT time.Duration
	P95RTT    time.Duration
	Slow      float64 // nodes
	SlowFrom  time.Duration
	SlowMean  time.Duration // of what is more
	SlowMax   time.Duration

	Loss float64 // of datagrams, each way

	// Dead and Stale are shares of the contacts that nodes list: of nodes that are
	// gone, and of ids that a node had once.
	Dead  float64
	Stale float64
	// A live node is known to KnowLive of those whose table it could be in, a
	// corpse and a former id to KnowDead: different nodes list different corpses.
	KnowLive float64
	KnowDead float64

	// Bad is the share of live nodes that do a third each: answer with another id,
	// answer with an error, and answer pings only.
	Bad float64
	// Holds is the probability that one of the closest nodes has peers to name, and
	// ValuesOnly the share of nodes that then name no nodes.
	Holds      float64
	ValuesOnly float64
}

// Measured returns the mainline DHT as it was found, but for its size: it has some
// millions of nodes.
func Measured(nodes int, seed uint64) Config {
	return Config{
		Nodes:      nodes,
		Seed:       seed,
		MedianRTT:  90 * time.Millisecond,
		P95RTT:     350 * time.Millisecond,
		Slow:       .02,
		SlowFrom:   time.Second,
		SlowMean:   700 * time.Millisecond,
		SlowMax:    6 * time.Second,
		Loss:       .02,
		Dead:       .30,
		Stale:      .03,
		KnowLive:   .97,
		KnowDead:   .50,
		Bad:        .03,
		Holds:      .80,
		ValuesOnly: .10,
	}
}

// Hostile returns the same network on a bad day.
func Hostile(nodes int, seed uint64) Config {
	c := Measured(nodes, seed)
	c.Dead, c.Loss = .50, .10
	return c
}
