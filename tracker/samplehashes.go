package tracker

import (
	"math/rand/v2"
	"sort"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// maxDraws bounds the swarms that are looked at for a sample of info-hashes. A few
// in a hundred may have expired; many more only where nobody calls Expire.
const maxDraws = 512

// Hashes returns the number of info-hashes that are kept.
func (s *Swarms) Hashes() int64 { return s.hashes.Load() }

// SampleHashes returns up to limit info-hashes that have peers, concatenated: a uniform
// sample without replacement, in random order, unless the store changes meanwhile. It holds
// no lock for longer than it takes to read one of them.
func (s *Swarms) SampleHashes(limit int, rng *rand.Rand, now time.Time) []byte {
	t, total := s.tick(now), 0
	ends := make([]int, len(s.shards)) // of the shards, if the swarms were one array
	for i := range s.shards {
		total += s.shards[i].size()
		ends[i] = total
	}
	sample := make([]byte, 0, min(limit, total)*krpc.IDLen)
	// The shuffle of Fisher and Yates, of which only what has moved is written down.
	moved := make(map[int]int)
	at := func(i int) int {
		if from, ok := moved[i]; ok {
			return from
		}
		return i
	}
	for i := 0; i < min(total, maxDraws) && len(sample) < limit*krpc.IDLen; i++ {
		j := i + rng.IntN(total-i)
		pick := at(j)
		moved[j] = at(i)
		n := sort.SearchInts(ends, pick+1)
		back := ends[n] - pick // counted from the end of the shard
		if ih, ok := s.shards[n].hash(back, t); ok {
			sample = append(sample, ih[:]...)
		}
	}
	return sample
}

// size returns the number of info-hashes in the shard.
func (sh *shard) size() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return len(sh.swarms)
}

// hash returns the info-hash of the swarm so many places before the end, if there is
// one that has peers.
func (sh *shard) hash(back int, t uint32) (ih krpc.ID, ok bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := len(sh.swarms) - back
	if i < 0 || sh.swarms[i].dead(t, sh.limits.life) {
		return ih, false
	}
	return sh.swarms[i].id, true
}
