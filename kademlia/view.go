package kademlia

import "github.com/kadnode/kadnode/krpc"

// view is what queries are answered from: the table at one moment, immutable and
// shared by all goroutines.
type view struct {
	self    krpc.ID
	buckets []viewBucket
	size    int // contacts
}

// viewBucket is one bucket of it.
type viewBucket struct {
	contacts []contact
	keys     []uint64 // see sortedKeys
	room     bool     // a new contact may enter
}

func (t *table) view() *view {
	v := &view{self: t.self, buckets: make([]viewBucket, len(t.buckets)), size: t.size()}
	for i := range t.buckets {
		b := &t.buckets[i]
		if len(b.keys) < len(b.live) {
			b.keys = sortedKeys(b.keys, b.live)
		}
		v.buckets[i] = viewBucket{contacts: b.live, keys: b.keys, room: len(b.live) < t.capacity(i)}
	}
	t.dirty = false
	return v
}

// contact returns the contact with this key.
func (b *viewBucket) contact(key uint64) *contact { return &b.contacts[key&indexMask] }

// has tells whether one of the contacts of this bucket, the i-th, has this id.
func (b *viewBucket) has(id *krpc.ID, i int) bool { return indexByKey(b.keys, b.contacts, id, i) >= 0 }

// closest fills s, which is empty, with the up to n contacts closest to target that
// answer.
//
// Whom does the first bit that a bucket has for itself bring closer to target? Those in
// it, if target has the same there, and then they come before all deeper ones; else the
// deeper ones, and it comes after them.
func (v *view) closest(s *selection, target krpc.ID, n int) {
	s.target, s.max = target, min(n, MaxK)
	first := v.self.CommonPrefixLen(target)
	for i := first; i < len(v.buckets) && s.n < s.max; i++ {
		if differ(&v.self, &target, i) {
			s.add(&v.buckets[i], i)
		}
	}
	for i := len(v.buckets) - 1; i >= 0 && s.n < s.max; i-- {
		if !differ(&v.self, &target, i) {
			s.add(&v.buckets[i], i)
		}
	}
}

// differ tells whether a and b have other bits at i.
func differ(a, b *krpc.ID, i int) bool { return (a[i/8]^b[i/8])<<(i%8)&0x80 != 0 }

// appendClosest appends the compact infos of the closest contacts to dst.
func (v *view) appendClosest(dst []byte, target krpc.ID, n int) []byte {
	var s selection
	v.closest(&s, target, n)
	for _, b := range s.best[:s.n] {
		dst = b.c.appendCompact(dst)
	}
	return dst
}

// infos returns the up to n contacts closest to target that answer.
func (v *view) infos(target krpc.ID, n int) []krpc.NodeInfo {
	var s selection
	v.closest(&s, target, n)
	out := make([]krpc.NodeInfo, s.n)
	for i, b := range s.best[:s.n] {
		out[i] = b.c.info()
	}
	return out
}

// contacts returns the same with their round-trip times, with room for so many others. The caller
// holds the lock of the table.
func (v *view) contacts(target krpc.ID, n, room int) []contactRTT {
	var s selection
	v.closest(&s, target, n)
	out := make([]contactRTT, s.n, s.n+room)
	for i, b := range s.best[:s.n] {
		out[i] = contactRTT{b.c.info(), b.c.rtt}
	}
	return out
}

// interest tells whether a query from id can matter to the table: id is in it,
// or there is room for it.
func (v *view) interest(id krpc.ID) bool {
	i := v.self.CommonPrefixLen(id)
	return i >= len(v.buckets) || v.buckets[i].room || v.buckets[i].has(&id, i)
}
