package mainline

import (
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// warmUp is how many lookups a subject makes before it is measured.
	warmUp = 200
	// coldStarts is how many starts the time of a cold start is the median of.
	coldStarts = 50
	// patience is the longest that a join or a lookup may take.
	patience = 5 * time.Minute
)

// never is the time of what has not happened.
const never = time.Duration(1<<63 - 1)

// outcome is what came of one lookup.
type outcome struct {
	firstPeer time.Duration // or never
	end       time.Duration // or never
	queries   int
	toDead    int
	reached   int // of the k closest
}

// lookUp has the subject at p look up ih, to the end.
func (p *place) lookUp(ih krpc.ID) outcome {
	w := p.w
	began := w.clock.Now()
	o := outcome{firstPeer: never, end: never}
	seen := observe(ih)
	p.lookup = seen
	p.subject.FindPeers(ih,
		func() { o.firstPeer = min(o.firstPeer, w.clock.Now().Sub(began)) },
		func(queries int) {
			o.end, o.queries = w.clock.Now().Sub(began), queries
		})
	w.clock.RunUntil(func() bool { return o.end != never }, patience)
	p.lookup = nil
	o.toDead = seen.toDead
	for _, c := range w.holders(ih) {
		if seen.replied[c.Addr] {
			o.reached++
		}
	}
	return o
}

// join starts the subject and waits until it is ready.
func (p *place) join() {
	ready := false
	p.subject.Join(p.w.nodes[p.w.livingNode()].addr, func() { ready = true })
	p.w.clock.RunUntil(func() bool { return ready }, patience)
}

// Run has each policy make lookups lookups in the network that cfg describes, one
// policy after another, each in a world of its own.
func Run(cfg Config, lookups int, policies ...Policy) []Report {
	n := New(cfg)
	var reports []Report
	for _, p := range policies {
		reports = append(reports, n.Lookups(p, lookups))
	}
	return reports
}

// Lookups measures the lookups of random info-hashes by a node that has made 200
// before, one after another. Every policy gets the same info-hashes.
func (n *Network) Lookups(p Policy, lookups int) Report {
	w := n.world(p)
	at := w.settle(p)
	at.join()
	for range warmUp {
		at.lookUp(krpc.RandomID(w.targets))
	}
	r := Report{Policy: p.Name}
	for range lookups {
		r.add(at.lookUp(krpc.RandomID(w.targets)))
	}
	at.leave()
	r.sum()
	r.TraceHash = w.net.TraceHash()
	return r
}

// ColdStart returns the median time, over 50 nodes, from the start of a node that
// knows one other to its first peer.
func (n *Network) ColdStart(p Policy) time.Duration {
	w := n.world(p)
	var took []time.Duration
	for range coldStarts {
		at := w.settle(p)
		began, first := w.clock.Now(), never
		at.join()
		joined := w.clock.Now().Sub(began)
		if o := at.lookUp(krpc.RandomID(w.targets)); o.firstPeer != never {
			first = joined + o.firstPeer
		}
		took = append(took, first)
		at.leave()
	}
	return quantile(took, .5)
}
