package store

import (
	"sync/atomic"
	"time"
)

// counters are the running counts of an Items.
type counters struct {
	hits, misses, notNewer atomic.Uint64
	puts                   [numOutcomes]atomic.Uint64
	refused                [NumRefusals]atomic.Uint64

	spreading       atomic.Int32 // stores that gets have left behind, under way
	copies, updates atomic.Uint64

	republished, handedOver atomic.Uint64
}

// Stats is a snapshot of an Items: the sum over its nodes.
type Stats struct {
	Immutable, Mutable int   // items held; expired ones count until they are removed
	Bytes, MaxBytes    int64 // charged for them

	GetsHit      uint64 // answered with an item
	GetsNotNewer uint64 // answered with its seq, since the asker knows it
	GetsMissed   uint64 // answered with nodes alone

	PutsStored    uint64 // of a new item, or a new version
	PutsRefreshed uint64 // of an item that was held
	PutsIgnored   uint64 // of an item that had nothing left to live
	PutsRefused   [NumRefusals]uint64

	// What gets of this program left behind; see FindItem.
	CopiesLeft   uint64 // nodes that took a copy for a while
	Updated      uint64 // nodes that took a newer version
	Spreading    int    // stores of both under way
	MaxSpreading int

	Republished  uint64 // items of others that were put again in their time
	HandedOver   uint64 // items that newcomers were given
	Newcomers    int    // that are being given items
	MaxNewcomers int

	Evicted uint64 // items that went for a nearer one while they were alive
	Expired uint64 // items removed at the end of their life

	Kept, MaxKept int // items that are put again and again: see Keep
	Keeping       int // of these, whose put is under way
	// KeepLag is for how long the kept item that is due longest has waited for its turn.
	KeepLag      time.Duration
	KeepPuts     uint64 // puts of kept items that ended
	KeepFailed   uint64 // of these: stored by no node
	KeepOutdated uint64 // items not kept any longer, since somebody else publishes them
}

// Stats returns the current figures. It takes the lock of one node's items after the
// other, so sums may be off by what happens meanwhile.
func (s *Items) Stats() Stats {
	c := &s.counters
	st := Stats{
		MaxBytes:      int64(s.limits.bytes) * int64(len(s.shelves)),
		GetsHit:       c.hits.Load(),
		GetsNotNewer:  c.notNewer.Load(),
		GetsMissed:    c.misses.Load(),
		PutsStored:    c.puts[stored].Load(),
		PutsRefreshed: c.puts[refreshed].Load(),
		PutsIgnored:   c.puts[ignored].Load(),
		Republished:   c.republished.Load(),
		HandedOver:    c.handedOver.Load(),
		CopiesLeft:    c.copies.Load(),
		Updated:       c.updates.Load(),
		Spreading:     int(c.spreading.Load()),
		MaxSpreading:  maxSpreading,
	}
	for i := range st.PutsRefused {
		st.PutsRefused[i] = c.refused[i].Load()
	}
	for i := range s.shelves {
		s.shelves[i].addTo(&st)
		s.handovers[i].addTo(&st)
	}
	s.publisher.addTo(&st)
	return st
}

func (s *memory) addTo(st *Stats) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Mutable += s.mutable
	st.Immutable += len(s.entries) - s.mutable
	st.Bytes += int64(s.bytes)
	st.Evicted += s.evicted
	st.Expired += s.expired
}
