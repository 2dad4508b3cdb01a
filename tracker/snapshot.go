package tracker

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Records implements journal.State. It goes through the shards one by one, and through the
// swarms of each from the least recently used one on, so that the LRU has them in this order
// again. It copies one swarm at a time under the lock.
func (s swarmsState) Records(now time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		buf := make([]byte, 0, swarmHeaderLen+maxSwarmEntries)
		if !yield(appendShardsRecord(buf, s.seed)) {
			return
		}
		t := s.tick(now)
		since1970 := unixTick(now) - t // what to add to a tick
		var c swarmCopy
		var uses []swarmUse
		for i := range s.shards {
			sh := &s.shards[i]
			uses = sh.uses(uses[:0])
			for _, u := range uses {
				c.load(sh, &u.id, t)
				for record := range c.records(buf, &u.id, since1970) {
					if !yield(record) {
						return
					}
				}
			}
		}
	}
}

// swarmUse says when a swarm was used last.
type swarmUse struct {
	id   krpc.ID
	used uint32
}

// uses appends the swarms of the shard, ordered by their last use. None is missing that is
// there all along; one may be there twice.
func (sh *shard) uses(dst []swarmUse) []swarmUse {
	for pos := math.MaxInt; pos > 0; {
		dst, pos = sh.appendUses(dst, pos)
	}
	slices.SortFunc(dst, func(a, b swarmUse) int { return cmp.Compare(a.used, b.used) })
	return dst
}

// appendUses appends a few swarms below pos, and returns the new pos. It goes downwards for
// the reason that sweep does.
func (sh *shard) appendUses(dst []swarmUse, pos int) ([]swarmUse, int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	pos = min(pos, len(sh.swarms))
	for range min(pos, sweepHold) {
		pos--
		dst = append(dst, swarmUse{sh.swarms[pos].id, sh.swarms[pos].used})
	}
	return dst, pos
}

// swarmCopy is what a snapshot takes of a swarm.
type swarmCopy struct {
	entries liveEntries
	last    [families]uint32 // when the last entry was announced
	used    uint32
}

// load copies the swarm of ih, of which nothing is left if it has gone.
func (c *swarmCopy) load(sh *shard, ih *krpc.ID, t uint32) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sw := sh.peek(ih)
	if sw == nil {
		sw = new(swarm)
	}
	c.used = sw.used
	c.entries.load(sw, t, sh.limits.life)
	for f := range sw.peers {
		c.last[f] = sw.peers[f].last
	}
}

// records returns the records of the copy, which are made in buf. since1970 is what to add to a
// tick.
func (c *swarmCopy) records(buf []byte, ih *krpc.ID, since1970 uint32) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for f, entries := range c.entries {
			if len(entries) == 0 {
				continue
			}
			w := family(f).width()
			stamp := lastStamp(entries)
			for part := range slices.Chunk(entries, maxSwarmEntries/w*w) {
				last := c.last[f] - uint32(stamp-lastStamp(part))&stampMask
				if !yield(appendSwarmRecord(buf[:0], family(f), ih, c.used+since1970, last+since1970, part)) {
					return
				}
			}
		}
	}
}

// lastStamp returns the stamp of the last of some entries.
func lastStamp(entries []byte) uint16 {
	return binary.LittleEndian.Uint16(entries[len(entries)-stampLen:])
}
