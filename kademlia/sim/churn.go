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
			w.Hosts = slices.DeleteFunc(w.Hosts, func(o *Host) bool { return o == h })
			w.Grow()
		}
		w.Clock.AfterFunc(next(), step)
	}
	w.Clock.AfterFunc(next(), step)
	return func() { stopped = true }
}
