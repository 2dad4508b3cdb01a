package tracker

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxSampleInterval is the most that BEP 51 allows.
	maxSampleInterval = 6 * time.Hour
	// A node that has little to tell is young, and soon has more: its sample is renewed
	// after growingInterval, or emptyInterval if there was nothing to sample.
	growingInterval = 10 * time.Minute
	emptyInterval   = time.Minute

	// maxSamples is what fits into a reply beside eight IPv4 nodes, about, and
	// minSamples what has a place even if that takes it from the nodes.
	maxSamples = 36
	minSamples = 20

	// The longest values, in digits, that a reply has room for.
	longestInterval = 21_600
	longestNum      = 99_999_999
)

// hashSample is what sample_infohashes is answered with until it is renewed. It
// never changes.
type hashSample struct {
	hashes []byte // concatenated, in random order
	until  time.Time
}

// hashSampler holds the current sample. It is renewed by the first query that finds
// it too old, so that a node that nobody asks does nothing.
type hashSampler struct {
	store    Store
	interval time.Duration
	current  atomic.Pointer[hashSample] // never nil
	renewing atomic.Bool
	rng      *rand.Rand // belongs to whoever has set renewing
	served   atomic.Uint64
	renewals atomic.Uint64
}

func (h *hashSampler) init(store Store, interval time.Duration, seed *rand.Rand, now time.Time) {
	h.store, h.interval = store, interval
	h.rng = rand.New(rand.NewPCG(seed.Uint64(), seed.Uint64()))
	h.current.Store(&hashSample{hashes: []byte{}, until: now})
}

// at returns the sample to answer with at now. One goroutine at a time renews it; the
// others go on with the old one.
func (h *hashSampler) at(now time.Time) *hashSample {
	s := h.current.Load()
	if now.Before(s.until) || !h.renewing.CompareAndSwap(false, true) {
		return s
	}
	defer h.renewing.Store(false)
	if s = h.current.Load(); now.Before(s.until) {
		return s // somebody was quicker
	}
	s = &hashSample{hashes: h.store.SampleHashes(maxSamples, h.rng, now)}
	s.until = now.Add(min(h.interval, s.lifetime()))
	h.renewals.Add(1)
	h.current.Store(s)
	return s
}

// lifetime returns for how long s may be served, at most.
func (s *hashSample) lifetime() time.Duration {
	switch {
	case len(s.hashes) == 0:
		return emptyInterval
	case len(s.hashes) < maxSamples*krpc.IDLen:
		return growingInterval
	}
	return maxSampleInterval
}

// secondsLeft returns for how many more seconds s is served, rounded up: whoever
// waits so long gets another one. now may be before the sample was drawn, since
// callers' clocks race.
func (s *hashSample) secondsLeft(now time.Time) int64 {
	return int64(min(max(0, s.until.Sub(now)+time.Second-1), maxSampleInterval) / time.Second)
}

// serveSampleInfohashes answers sample_infohashes (BEP 51): with the closest nodes,
// and as much of the sample as fits. To ask again within the interval brings nothing
// new, so that nobody is tempted to.
func (t *Tracker) serveSampleInfohashes(n *kademlia.Node, rq *krpc.Request) error {
	s := t.sampler.at(rq.Now)
	n.AddNodes(rq, rq.Query.Target)
	s.fill(rq)
	rq.Reply.Interval, rq.Reply.Num = s.secondsLeft(rq.Now), t.store.Hashes()
	t.sampler.served.Add(uint64(len(rq.Reply.Samples) / krpc.IDLen))
	return nil
}

// fill puts what fits of the sample into the reply, which has all the rest but
// Interval and Num. How long these are must not matter: as an interval runs out, it
// would let another info-hash in.
func (s *hashSample) fill(rq *krpc.Request) {
	r := &rq.Reply
	r.Samples, r.Interval, r.Num = s.hashes[:0], longestInterval, longestNum
	// There is the key with no samples yet: their length takes two more digits, at most.
	const digits = len("00")
	if !rq.Brief() {
		rq.MakeRoom(min(len(s.hashes), minSamples*krpc.IDLen) + digits)
	}
	room := max(0, rq.Room()-digits)
	r.Samples = s.hashes[:min(len(s.hashes), room-room%krpc.IDLen)]
}
