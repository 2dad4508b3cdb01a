package tracker

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

var (
	// ErrFull refuses an announce for which the store has no room.
	ErrFull = errors.New("tracker: announce: the store is full")
	// ErrSubnetFull refuses an announce to a swarm that has its fill of peers of
	// the announcer's subnet, or that would be one more than this may begin.
	ErrSubnetFull = errors.New("tracker: announce: too many peers of one subnet in the swarm, or too many swarms")
)

// SwarmsConfig bounds a Swarms. Zero fields mean the defaults.
type SwarmsConfig struct {
	// Rand seeds the sampling and the choice of shards. It is required, and used
	// only while NewSwarms runs.
	Rand *rand.Rand

	MaxBytes  int64 // memory of the peers and their index; 256 MiB
	MaxHashes int   // info-hashes; 200 000

	// MaxPeers is the number of peers of a swarm and family; 2 000. Announces
	// search the peers one by one, so it should not go far beyond that.
	MaxPeers int
	// MaxPeersPerIP is the number of peers of one address in a swarm; 2: a host,
	// and one behind the same NAT or the same one after a restart.
	MaxPeersPerIP int
	// MaxPeersPerSubnet is the number of peers of one /24 or /64 in a swarm; 16.
	// A /24 of homes seldom has more in one swarm, a /64 is one home, and whoever
	// wants to fill a swarm of 2 000 needs 125 subnets. A /48, which every site gets
	// for the asking, has eight times as many.
	MaxPeersPerSubnet int
	// MaxHashesPerSubnet is the number of info-hashes that began with an announce of one /24
	// or /48; a 32nd of MaxHashes, at least 1024: a /24 would fill a store within minutes.
	MaxHashesPerSubnet int

	// Lifetime is how long a peer is kept after its last announce; 45 minutes,
	// which outlives one lost announce of clients that announce every 15 to 30
	// minutes. At most 6 days.
	Lifetime time.Duration

	// Shards is the number of locks; 32, and fewer in a store so small that its
	// shards would be tiny. Where one goroutine drives thousands of nodes, as in
	// a simulation, 1 saves memory.
	Shards int
}

const (
	maxLifetime = 6 * 24 * time.Hour // below 2^15 ticks, see peerArray

	// A shard is no smaller than this, so that the chance by which info-hashes
	// fall to shards does not leave one of them with no room while others have.
	minShardHashes = 64
	minShardBytes  = 256 << 10

	// siteSubnets is how many /64 the peers of a /48 may fill: it is 65 536 of them.
	siteSubnets = 8

	// tickLength is the unit in which the age of peers is kept.
	tickLength = 16 * time.Second
)

func (c SwarmsConfig) withDefaults() SwarmsConfig {
	setDefault(&c.MaxBytes, 256<<20)
	setDefault(&c.MaxHashes, 200_000)
	setDefault(&c.MaxPeers, 2_000)
	setDefault(&c.MaxPeersPerIP, 2)
	setDefault(&c.MaxPeersPerSubnet, 16)
	setDefault(&c.MaxHashesPerSubnet, max(c.MaxHashes/32, 1024))
	setDefault(&c.Lifetime, 45*time.Minute)
	setDefault(&c.Shards, 32)
	c.Lifetime = min(c.Lifetime, maxLifetime)
	return c
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// shards returns how many shards c asks for and has room for: a power of two.
func (c *SwarmsConfig) shards() int {
	n := min(int64(c.Shards), int64(c.MaxHashes)/minShardHashes, c.MaxBytes/minShardBytes)
	return 1 << (bits.Len64(uint64(max(n, 1))) - 1)
}

// Swarms keeps the peers of every info-hash announced to this node (BEP 5). It
// is safe for concurrent use; no method blocks for longer than it takes to read
// one swarm.
//
// What gives way when a bound is reached, from the inside out:
//   - An address that has MaxPeersPerIP peers in a swarm replaces its own oldest
//     one: the ports that a host announced before are the likeliest to be dead.
//   - A subnet that has MaxPeersPerSubnet peers in a swarm gets no more of them
//     (ErrSubnetFull): nobody may push out a neighbour. Local addresses are free
//     of both caps, since a private swarm sits in one subnet.
//   - A subnet gets no more than MaxHashesPerSubnet swarms, or a quarter more, that begin with
//     its announces (ErrSubnetFull): if it floods the store it fills a part of it. It may join
//     any number of swarms that others have begun.
//   - In a swarm of MaxPeers the one announced longest ago is replaced. Of more
//     peers than anybody needs, the freshest are the likeliest to answer.
//   - Over MaxBytes or MaxHashes, the least recently used info-hash goes if its
//     peers have expired or nobody announced or looked it up for two thirds of a
//     lifetime, which is longer than clients take between announces. If there is
//     no such info-hash the store is full (ErrFull): a flood of info-hashes takes
//     what is free, and pushes out no swarm that is in use. A lookup counts as
//     use, but prolongs no peer's life.
//
// To refresh a peer that is stored already there is always room. Full tells
// beforehand what would be refused, for the token to be withheld.
//
// Each shard has an equal part of MaxBytes and MaxHashes. Which shard an
// info-hash falls to depends on a secret, so nobody can fill one on purpose.
type Swarms struct {
	limits limits
	epoch  time.Time // when tick 0 began: also one since 1970, see unixTick
	seed   [2]uint64 // of key
	key    krpc.SipKey
	shards []shard
	hashes atomic.Int64 // info-hashes in the shards
	sweep  sweep
}

// limits are the bounds of one shard, with times in ticks.
type limits struct {
	bytes, hashes           int
	peers, perIP, perSubnet int
	perOwner                int // swarms that begin with announces of one subnet
	life, idle              uint32
}

// NewSwarms returns an empty store. Ages are counted from now on its monotonic
// reading, if it has one, so that setting the system's clock expires nobody.
func NewSwarms(cfg SwarmsConfig, now time.Time) *Swarms {
	cfg = cfg.withDefaults()
	n := cfg.shards()
	life := ticksIn(cfg.Lifetime + tickLength - 1)
	s := &Swarms{
		limits: limits{
			bytes:     int(cfg.MaxBytes / int64(n)),
			hashes:    cfg.MaxHashes / n,
			peers:     cfg.MaxPeers,
			perIP:     cfg.MaxPeersPerIP,
			perSubnet: cfg.MaxPeersPerSubnet,
			perOwner:  int(int64(cfg.MaxHashesPerSubnet)*5/4/int64(n)) + 1, // with a margin for chance
			life:      life,
			idle:      life * 2 / 3,
		},
		// Peers of an earlier process were announced before now. Their ticks began when those
		// of any other process do, so that no restart makes them older or younger.
		epoch:  now.Add(-intoTick(now) - time.Duration(life)*tickLength),
		shards: make([]shard, n),
	}
	s.setSeed([2]uint64{cfg.Rand.Uint64(), cfg.Rand.Uint64()})
	for i := range s.shards {
		s.shards[i].limits, s.shards[i].hashes, s.shards[i].key = &s.limits, &s.hashes, &s.key
		s.shards[i].rng.Seed(cfg.Rand.Uint64(), cfg.Rand.Uint64())
	}
	s.sweep.shard = n // no round is under way
	return s
}

// setSeed has a secret decide to which shard info-hashes fall. There are none yet.
func (s *Swarms) setSeed(seed [2]uint64) {
	s.seed, s.key = seed, krpc.NewSipKey(rand.New(rand.NewPCG(seed[0], seed[1])))
}

func (s *Swarms) tick(now time.Time) uint32 {
	return ticksIn(max(0, now.Sub(s.epoch)))
}

func ticksIn(d time.Duration) uint32 { return uint32(d / tickLength) }

// tickSeconds is tickLength, for times since 1970, of which some do not fit a Duration.
const tickSeconds = int64(tickLength / time.Second)

// unixTick returns t in ticks since 1970: what means the same to every process.
func unixTick(t time.Time) uint32 { return uint32(t.Unix() / tickSeconds) }

// intoTick returns for how long t's tick since 1970 has lasted.
func intoTick(t time.Time) time.Duration {
	return time.Duration(t.Unix()%tickSeconds)*time.Second + time.Duration(t.Nanosecond())
}

func (s *Swarms) shard(ih *krpc.ID) *shard {
	if len(s.shards) == 1 {
		return &s.shards[0]
	}
	return &s.shards[s.key.Sum(ih[:])&uint64(len(s.shards)-1)]
}

// Announce stores peer in the swarm of ih, or refreshes it. The error is nil,
// ErrFull or ErrSubnetFull. Whether the peer's address is fit to be stored, and
// its port not 0, is for the caller to see to. It allocates nothing but the
// memory in which a new peer is kept.
func (s *Swarms) Announce(ih krpc.ID, peer netip.AddrPort, seed bool, now time.Time) error {
	p, t, sh := makePeerKey(peer), s.tick(now), s.shard(&ih)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.announce(&ih, &p, seed, t)
}

// Full reports whether an announce of ih by a peer at addr would be refused, so
// that handing out a token would be a lie. It is false if addr has a peer in the
// swarm to refresh. It makes the room that it promises, by the same rule as
// Announce, yet reserves none.
func (s *Swarms) Full(ih krpc.ID, addr netip.Addr, now time.Time) bool {
	p, t, sh := makePeerKey(netip.AddrPortFrom(addr, 0)), s.tick(now), s.shard(&ih)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.full(sh.find(&ih, t), &p, t)
}

// SampleAndFull is Sample and, unless addr is the zero Addr, Full in one, which is what a
// get_peers asks.
func (s *Swarms) SampleAndFull(dst []byte, ih krpc.ID, o SampleOptions, addr netip.Addr, now time.Time) (peers []byte, full bool) {
	t, sh := s.tick(now), s.shard(&ih)
	var p peerKey
	if addr.IsValid() {
		p = makePeerKey(netip.AddrPortFrom(addr, 0))
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sw := sh.find(&ih, t)
	if addr.IsValid() {
		full = sh.full(sw, &p, t)
	}
	return sh.sample(dst, sw, o, t), full
}

// Count returns the number of seeds and of other peers, of both families, that
// the swarm of ih has.
func (s *Swarms) Count(ih krpc.ID, now time.Time) (seeds, leechers int) {
	t, sh := s.tick(now), s.shard(&ih)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sw := sh.peek(&ih)
	if sw == nil {
		return 0, 0
	}
	for f := range sw.peers {
		a := &sw.peers[f]
		stale := a.stale(t, s.limits.life)
		n := int(a.seeds) - a.seedsAmong(stale)
		seeds += n
		leechers += a.len() - stale - n
	}
	return seeds, leechers
}
