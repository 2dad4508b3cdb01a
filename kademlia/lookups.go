package kademlia

import (
	"github.com/kadnode/kadnode/kademlia/serial"
	"github.com/kadnode/kadnode/krpc"
)

// Lookups are the lookups of one target at all nodes of a program at once, and the
// stores that come of them. Their callbacks are made one at a time, whichever node they
// come from, so that what these share needs no lock.
//
// The zero Lookups is ready. Start, Stop and Do are safe for concurrent use; all else is
// for the callbacks alone.
type Lookups struct {
	// Results has the lookups that have ended, by node. It belongs to the owner of the
	// Lookups once all have.
	Results []LookupResult
	// Stopped is set by Stop.
	Stopped bool

	calls   serial.Calls
	nodes   []*Node
	lookup  func(i int) Lookup
	ended   func()
	running int      // lookups, and Start itself
	stops   []func() // of lookups and stores
}

// Start begins lookup(i) at each nodes[i]; nil stands for a node to leave out. Results
// has ErrStopped for those, and for all after Stop. ended is called once, after the Done
// of every lookup, perhaps before Start returns, and may not block.
func (s *Lookups) Start(nodes []*Node, lookup func(i int) Lookup, ended func()) {
	s.Do(func() {
		s.nodes, s.lookup, s.ended, s.running = nodes, lookup, ended, 1
		s.Results = make([]LookupResult, len(nodes))
		for i, n := range nodes {
			if n == nil || s.Stopped {
				s.Results[i].Err = ErrStopped
				continue
			}
			s.running++
			s.stops = append(s.stops, n.Lookup(s.inTurn(i)))
		}
		s.settle()
	})
}

// inTurn returns lookup i with its callbacks made one at a time.
func (s *Lookups) inTurn(i int) Lookup {
	l := s.lookup(i)
	if visit := l.Visit; visit != nil {
		l.Visit = func(from krpc.NodeInfo, r *krpc.Message) { s.Do(func() { visit(from, r) }) }
	}
	done := l.Done
	l.Done = func(res LookupResult) {
		s.Do(func() {
			s.Results[i] = res
			if done != nil {
				done(res)
			}
			s.settle()
		})
	}
	return l
}

// settle takes note that a lookup has ended.
func (s *Lookups) settle() {
	if s.running--; s.running == 0 {
		s.ended()
	}
}

// Store has node i ask the nodes at, which its lookup found, to store: see Node.Store.
// cfg.Lookup is overwritten by that lookup.
func (s *Lookups) Store(i int, at []Contact, cfg Store) {
	done := cfg.Done
	cfg.Lookup = s.lookup(i)
	cfg.Done = func(res StoreResult) { s.Do(func() { done(res) }) }
	s.stops = append(s.stops, s.nodes[i].Store(at, cfg))
}

// Do calls f in turn with the callbacks: at once if none is being made, or else later.
func (s *Lookups) Do(f func()) { s.calls.Do(f) }

// Stop ends lookups and stores early, with ErrStopped. It may be called at any time, and
// more than once.
func (s *Lookups) Stop() {
	s.Do(func() {
		s.Stopped = true
		s.Finish()
	})
}

// Finish ends what is under way as Stop does, for who has found what he wanted: Stopped
// is left unset.
func (s *Lookups) Finish() {
	for _, stop := range s.stops {
		stop()
	}
}

// LookupsFailed returns why no lookup of results ran to its end; nil if one did, or if
// there was none. One that had nobody to ask, as in the DHT of a family that the host
// lacks, hides no failure of another.
func LookupsFailed(results []LookupResult) (failed error) {
	for _, r := range results {
		switch {
		case r.Err == nil && r.Queries > 0:
			return nil
		case failed == nil:
			failed = r.Err
		}
	}
	return failed
}
