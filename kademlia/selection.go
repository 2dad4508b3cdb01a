package kademlia

import (
	"encoding/binary"
	"math/bits"

	"github.com/kadnode/kadnode/krpc"
)

// indexBits are the bits of a key that tell whose it is. A bucket has
// max(topBucket, MaxK) contacts at most.
const (
	indexBits = 8
	indexMask = 1<<indexBits - 1
)

// sortedKeys returns the contacts of a bucket in the order of their ids: of each the
// first 56 bits of the id, and in the other 8 its index in live. old are those of the
// first len(old) contacts; views share them, so that they stay as they are.
func sortedKeys(old []uint64, live []contact) []uint64 {
	keys := append(make([]uint64, 0, len(live)), old...)
	for i := len(old); i < len(live); i++ { // mostly for one of them
		key, at := keyOf(&live[i].id)|uint64(i), i
		for keys = append(keys, key); at > 0 && keys[at-1] > key; at-- {
			keys[at] = keys[at-1]
		}
		keys[at] = key
	}
	return keys
}

// keysWithout returns keys without that of the contact with index i, whose place those
// behind it move up to.
func keysWithout(keys []uint64, i int) []uint64 {
	rest := make([]uint64, 0, len(keys))
	for _, key := range keys {
		switch at := int(key & indexMask); {
		case at < i:
			rest = append(rest, key)
		case at > i:
			rest = append(rest, key-1)
		}
	}
	return rest
}

// keyOf returns the key of id, with the index 0.
func keyOf(id *krpc.ID) uint64 { return binary.BigEndian.Uint64(id[:8]) &^ indexMask }

// rank returns how many of the sorted keys of bucket i are below key, which has the bits
// that they share. It looks where the key would be if they were evenly spread, which is
// a few places off, and in memory beside it; at worst it reads them all.
func rank(keys []uint64, i int, key uint64) int {
	guess, _ := bits.Mul64(key<<(i+1), uint64(len(keys)))
	at := int(guess)
	for at > 0 && keys[at-1] >= key {
		at--
	}
	for at < len(keys) && keys[at] < key {
		at++
	}
	return at
}

// indexByKey returns the index of the contact with this id among those that have sorted keys in
// bucket i; -1 if there is none. It touches no more of a contact than its id: views read here what
// the table writes.
func indexByKey(keys []uint64, contacts []contact, id *krpc.ID, i int) int {
	key := keyOf(id)
	for _, k := range keys[rank(keys, i, key):] {
		if groupOf(k, key) != 0 {
			break
		}
		if j := int(k & indexMask); contacts[j].id == *id {
			return j
		}
	}
	return -1
}

// near is a contact and the bits of its distance from the target that its key tells, but
// for those that are the same in its bucket.
type near struct {
	dist uint64
	c    *contact
}

// selection collects the contacts closest to a target, closest first.
type selection struct {
	target krpc.ID
	n, max int
	best   [MaxK]near
}

// add adds contacts of b, the i-th bucket, until s is full. Nobody who is closer may come later.
//
// Seen from where the target would be, the contacts to either side share ever fewer
// bits with it. Those that share as many, which are all on the same side, come in any
// order, and all before those that share fewer. So this takes one such group after the
// other, and compares only within a group.
func (s *selection) add(b *viewBucket, i int) {
	keys := b.keys
	if len(keys) == 0 {
		return
	}
	// The first i+1 bits are the same in the whole bucket. What they are in the target
	// has no part in the order within it.
	own := ^uint64(0) >> (i + 1)
	target := (keys[0]&^own | keyOf(&s.target)&own) &^ indexMask
	right := rank(keys, i, target)
	left := right - 1
	for s.n < s.max {
		group := noGroup
		if left >= 0 {
			group = groupOf(keys[left], target)
		}
		if right < len(keys) {
			group = min(group, groupOf(keys[right], target))
		}
		if group == noGroup {
			return
		}
		first := s.n
		for ; left >= 0 && groupOf(keys[left], target) == group; left-- {
			s.insert(first, near{(keys[left] ^ target) >> indexBits, b.contact(keys[left])})
		}
		for ; right < len(keys) && groupOf(keys[right], target) == group; right++ {
			s.insert(first, near{(keys[right] ^ target) >> indexBits, b.contact(keys[right])})
		}
	}
}

// groupOf returns how many bits are left of two keys without what they share.
func groupOf(a, b uint64) int { return bits.Len64((a ^ b) >> indexBits) }

// noGroup is above all groups.
const noGroup = 64

// insert adds c, which is no closer than the first ones, if it answers and is among the
// closest. There are more than the first ones, or room for more.
func (s *selection) insert(first int, c near) {
	full := s.n == s.max
	if full && c.dist > s.best[s.n-1].dist || !c.c.answers() {
		return
	}
	j := s.n
	if !full {
		s.n++
	} else if j--; !s.closer(c, s.best[j]) {
		return
	}
	for ; j > first && s.closer(c, s.best[j-1]); j-- {
		s.best[j] = s.best[j-1]
	}
	s.best[j] = c
}

// closer tells whether a is closer than b, which is in the same bucket.
func (s *selection) closer(a, b near) bool {
	if a.dist == b.dist {
		return krpc.CompareDistance(a.c.id, b.c.id, s.target) < 0
	}
	return a.dist < b.dist
}
