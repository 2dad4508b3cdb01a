package sim

import (
	"slices"
	"time"
)

// Churn lets nodes come and go from now on: each lives for a time that is
// exponentially distributed around mean, ends without a word, and makes place for a
// new one, at another address with another id. Those that stays names live on; nil:
// nobody does. Nodes that have gone leave w.Hosts.
func (w *World) Churn(mean time.Duration, stays func(*Host) bool) (stop func()) {
	next := func() time.Duration {
		return time.Duration(w.Rand.ExpFloat64() * float64(mean) / float64(len(w.Hosts)))
	}
	stopped := false
	var step func()
	step = func() {
		if stopped {
			return
		}
		if h := w.RandomHost(); stays == nil || !stays(h) {
			w.Kill(h)
			w.forget(h)
			w.Grow()
		}
		w.Clock.AfterFunc(next(), step)
	}
	w.Clock.AfterFunc(next(), step)
	return func() { stopped = true }
}

// forget takes h, which is down, out of w.Hosts.
func (w *World) forget(h *Host) {
	i := slices.Index(w.Hosts, h)
	w.Hosts = slices.Delete(w.Hosts, i, i+1)
}

// SessionChurn says how nodes come and go: see World.ChurnSessions.
type SessionChurn struct {
	// Session is how long a node stays before it ends without a word. Required.
	Session Sessions
	// Absence is how long it is away then. nil: it does not come back, and a new node, at
	// another address with another id, takes its place at once.
	Absence Sessions
	// Fresh is the share, 0 to 1, of those that come back without what they had saved, as new
	// nodes at an old address.
	Fresh float64
	// Stays names nodes that never go; nil: there are none.
	Stays func(*Host) bool
}

// ChurnSessions lets the nodes that are up come and go from now on, each by its own. They are
// taken to have been there for a while: what is left of their first sessions is drawn
// accordingly, so that churn is the same from the beginning. Nodes that are away stay in
// w.Hosts, Down; those that do not come back leave it. One that is ended by others is left to
// them. stop ends the churn; who is away then stays away.
func (w *World) ChurnSessions(c SessionChurn) (stop func()) {
	s := &sessions{w: w, SessionChurn: c}
	for _, h := range w.Hosts {
		if !h.Down && (c.Stays == nil || !c.Stays(h)) {
			s.stay(h, c.Session.rest(w.Rand))
		}
	}
	return func() { s.stopped = true }
}

// sessions is a churn under way.
type sessions struct {
	SessionChurn
	w       *World
	stopped bool
}

// stay lets the node that h is now go after d.
func (s *sessions) stay(h *Host, d time.Duration) {
	node := h.Node
	s.w.Clock.AfterFunc(d, func() {
		if !s.stopped && !h.Down && h.Node == node {
			s.end(h)
		}
	})
}

func (s *sessions) end(h *Host) {
	w := s.w
	w.Kill(h)
	if s.Absence == nil {
		w.forget(h)
		s.stay(w.Grow(), s.Session(w.Rand))
		return
	}
	w.Clock.AfterFunc(s.Absence(w.Rand), func() {
		if !s.stopped && h.Down {
			w.Revive(h, w.Rand.Float64() >= s.Fresh)
			s.stay(h, s.Session(w.Rand))
		}
	})
}
