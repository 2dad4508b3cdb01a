package tracker

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Store keeps the peers that are announced to a Tracker. Swarms keeps them in memory, Durable
// on disk too. Package storetest holds any other to what is promised here.
//
// All methods are safe for concurrent use, and none blocks: they are called on the packet
// path. A Store that has to ask others, a disk or another process, answers from what it has
// and asks behind.
//
// It need not be the Tracker's alone: others may announce to it, and what it holds may change
// at any time. What it has accepted from a caller, that caller finds in it at once, and
// whoever else shares it soon.
//
// now is the caller's clock. It is never far from true, but calls of several goroutines come
// with times out of order.
type Store interface {
	// Announce stores peer in the swarm of ih, or refreshes it, as a seed or no longer as one,
	// for a lifetime from now. The error is nil, or ErrFull or ErrSubnetFull, which leave
	// everything as it was. The caller has seen to it that the address is fit to be stored and
	// the port not 0. It allocates nothing but the memory in which a new peer is kept.
	Announce(ih krpc.ID, peer netip.AddrPort, seed bool, now time.Time) error

	// SampleAndFull appends peers of the swarm of ih to dst, in the form of Message.Values: at
	// most o.Max, none twice, and whom o leaves out not at all. They are random, so that all
	// are found by those who ask often enough. Neither an expired peer is among them nor one
	// that was never announced. It allocates nothing if dst has the room.
	//
	// full tells whether an announce by a peer at asker would be refused now, so that to invite
	// one would be a lie. It is false if asker is the zero Addr.
	SampleAndFull(dst []byte, ih krpc.ID, o SampleOptions, asker netip.Addr, now time.Time) (peers []byte, full bool)

	// Scrape writes the filters of the swarm of ih (BEP 33): of the IP addresses of its seeds,
	// and of its other peers, of both families. An address with several peers, one of which is
	// a seed, counts as a seed. The filters may be a few seconds old. It reports false, and
	// writes nothing, if there are no peers, or if to answer would cost too much at present.
	Scrape(ih krpc.ID, seeds, peers *krpc.Bloom, now time.Time) bool

	// SampleHashes returns up to limit info-hashes that have peers, concatenated: a uniform
	// sample without replacement, in random order (BEP 51). rng is the caller's, and used only
	// during the call. The result is the caller's.
	SampleHashes(limit int, rng *rand.Rand, now time.Time) []byte
	// Hashes returns about how many info-hashes have peers.
	Hashes() int64

	// Expire is called again and again, by a timer, for the Store to give back what expired
	// peers take; they are not handed out in any case. A call takes a millisecond or two at
	// most. It returns when to call it next, which is after now.
	Expire(now time.Time) (next time.Time)

	// Stats returns the current figures, which may be off by what happens meanwhile.
	Stats() SwarmsStats
}

var (
	_ Store = (*Swarms)(nil)
	_ Store = (*Durable)(nil)
)
