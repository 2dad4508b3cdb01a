package kademlia

import (
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// joint are the lookups of nodes for one target, and what they have told.
type joint struct {
	Lookups
	visits, dones []int // by node
	ended         int
	busy          bool
	overlaps      int
	onVisit       func()
}

func (j *joint) start(nodes ...*Node) {
	j.visits, j.dones = make([]int, len(nodes)), make([]int, len(nodes))
	j.Start(nodes, j.lookup, func() { j.note(&j.ended) })
}

func (j *joint) lookup(i int) Lookup {
	return Lookup{
		Target: krpc.ID{1, 2, 3},
		Kind:   LookupFindNode,
		Visit:  func(krpc.NodeInfo, *krpc.Message) { j.note(&j.visits[i]) },
		Done: func(res LookupResult) {
			if j.Results[i].Queries != res.Queries {
				j.overlaps++ // the result was not there yet
			}
			j.note(&j.dones[i])
		},
	}
}

// note counts a callback, and whether another was being made.
func (j *joint) note(count *int) {
	if j.busy {
		j.overlaps++
	}
	j.busy = true
	*count++
	if j.onVisit != nil {
		j.onVisit()
	}
	j.busy = false
}

func (j *joint) want(t *testing.T, dones, ended int) {
	t.Helper()
	got := 0
	for _, n := range j.dones {
		got += n
	}
	if got != dones || j.ended != ended || j.overlaps > 0 {
		t.Fatalf("%v lookups and %d times all have ended, want %d and %d; %d calls overlap", j.dones, j.ended, dones, ended, j.overlaps)
	}
}

func TestLookupsOfAllNodesEndAsOne(t *testing.T) {
	l := newLab(t)
	nodes := l.network(12)
	var j joint
	j.start(nodes[3], nil, nodes[7])
	j.want(t, 0, 0)
	l.clock.Run(30 * time.Second)
	j.want(t, 2, 1)
	if j.visits[0] == 0 || j.visits[1] != 0 || j.visits[2] == 0 {
		t.Errorf("replies %v", j.visits)
	}
	if LookupsFailed(j.Results) != nil || j.Results[1].Err != ErrStopped || len(j.Results[2].Closest) != 8 {
		t.Errorf("results %+v", j.Results)
	}
}

func TestLookupsThatAreStopped(t *testing.T) {
	l := newLab(t)
	nodes := l.network(12)
	for name, c := range map[string]struct {
		stop    func(*joint)
		stopped bool
		dones   int
	}{
		"before they start":      {func(j *joint) { j.Stop(); j.start(nodes[1:3]...) }, true, 0},
		"under way, twice":       {func(j *joint) { j.start(nodes[1:3]...); l.clock.Run(time.Millisecond); j.Stop(); j.Stop() }, true, 2},
		"from their callback":    {func(j *joint) { j.onVisit = j.Stop; j.start(nodes[1:3]...); l.clock.Run(30 * time.Second) }, true, 2},
		"since enough was found": {func(j *joint) { j.onVisit = j.Finish; j.start(nodes[1:3]...); l.clock.Run(30 * time.Second) }, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var j joint
			c.stop(&j)
			j.want(t, c.dones, 1)
			if LookupsFailed(j.Results) != ErrStopped || j.Stopped != c.stopped {
				t.Errorf("stopped %v, results %+v", j.Stopped, j.Results)
			}
			l.clock.Run(30 * time.Second)
			j.want(t, c.dones, 1)
		})
	}
}

func TestLookupsOfNobody(t *testing.T) {
	var j joint
	j.start()
	j.want(t, 0, 1)
	j = joint{}
	j.start(nil, nil)
	j.want(t, 0, 1)
}

func TestStoresOfLookups(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(0), nil)
	n.Start()
	mute := l.stranger(simnet.Addr(1))
	at := []Contact{{NodeInfo: krpc.NodeInfo{ID: mute.id, Addr: simnet.Addr(1)}, Token: []byte("t")}}
	var j joint
	j.start(n)
	j.want(t, 1, 1)
	var ends []StoreResult
	put := Store{
		Method: krpc.MethodPut,
		Fill:   func(m *krpc.Message, _ krpc.NodeInfo) { m.V = []byte("1:v") },
		Done:   func(res StoreResult) { ends = append(ends, res) },
	}
	j.Do(func() { j.Store(0, at, put) })
	l.clock.Run(time.Second)
	if len(mute.heard) != 1 || string(mute.heard[0].Token) != "t" || len(ends) != 0 {
		t.Fatalf("heard %+v, ends %v", mute.heard, ends)
	}
	j.Stop()
	if len(ends) != 1 || !slices.Equal(ends[0].Failures, []StoreFailure{{at[0].NodeInfo, ErrStopped}}) {
		t.Errorf("ends %+v", ends)
	}
}
