package store

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/schedule"
	"github.com/kadnode/kadnode/krpc"
)

const (
	// handoverRanks is how many of the nodes nearest to an item see to a newcomer. The
	// nearest alone would do (Maymounkov and Mazières, 2002, section 2.5), if each of
	// them held the item and knew which of the others are dead. The next ask after
	// handoverDelay each, and find that the newcomer has it.
	handoverRanks = 3
	handoverDelay = 5 * time.Second
	// handoverPause is the time between two items for one newcomer: a get and a put
	// each, and libtorrent bans who sends more than five datagrams a second.
	handoverPause = 500 * time.Millisecond
	// maxHandovers bounds the items that wait for their turn at a node. What does not
	// fit waits for the next republishing.
	maxHandovers = 4096
)

// handover is an item on its way to a node that has come in among the closest to it.
type handover struct {
	to     krpc.NodeInfo
	target krpc.ID
	when   schedule.Due[*handover]
}

// handovers gives newcomers the items of one shelf that they are to hold.
type handovers struct {
	n        *kademlia.Node
	shelf    *shelf
	clock    krpc.Clock
	counters *counters

	mu     sync.Mutex // guards what follows
	rng    rand.PCG
	queue  schedule.Queue[*handover]
	timer  krpc.Timer // nil until there was something to wait for
	closed bool
}

// welcome queues the items for which c has become one of the k closest nodes.
func (h *handovers) welcome(c krpc.NodeInfo) {
	due := h.concerning(c)
	if len(due) == 0 {
		return
	}
	now := h.clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, d := range due {
		if h.closed || len(h.queue) == maxHandovers {
			break
		}
		wait := d.rank*handoverDelay + time.Duration(h.rng.Uint64()%uint64(handoverDelay))
		o := &handover{to: c, target: d.target}
		o.when = schedule.Due[*handover]{At: now.Add(wait + time.Duration(i)*handoverPause), Of: o}
		h.queue.Push(&o.when)
	}
	h.arm(now)
}

// concern is an item that a newcomer is to hold, and how many nodes are nearer to it
// than we are.
type concern struct {
	target krpc.ID
	rank   time.Duration
}

// concerning returns the items for which c is one of the k closest nodes and we are
// one of the first to see to that.
func (h *handovers) concerning(c krpc.NodeInfo) (list []concern) {
	self, k := h.n.ID(), h.n.K()
	// Around items that share fewer bits with us than this, there are nearer nodes
	// enough: those that share just as few with us.
	depth := 0
	if near := h.n.Closest(self, k); len(near) == k {
		depth = max(0, near[k-1].ID.CommonPrefixLen(self)-1)
	}
	if c.ID.CommonPrefixLen(self) < depth {
		return nil
	}
	for _, target := range h.shelf.within(depth) {
		closest := h.n.Closest(target, k)
		if !slices.Contains(closest, c) {
			continue
		}
		rank := 0
		for _, o := range closest {
			if o != c && krpc.CompareDistance(o.ID, self, target) < 0 {
				rank++
			}
		}
		if rank < handoverRanks {
			list = append(list, concern{target, time.Duration(rank)})
		}
	}
	return list
}

// arm sets the timer to the first handover.
func (h *handovers) arm(now time.Time) {
	if h.closed || len(h.queue) == 0 {
		return
	}
	wait := h.queue[0].At.Sub(now)
	if h.timer == nil {
		h.timer = h.clock.AfterFunc(wait, h.run)
		return
	}
	h.timer.Reset(wait)
}

// run is the timer.
func (h *handovers) run() {
	for _, o := range h.take(h.clock.Now()) {
		h.offer(o)
	}
}

// take returns the handovers that are due.
func (h *handovers) take(now time.Time) (due []*handover) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.queue) > 0 && !h.queue[0].At.After(now) {
		o := h.queue[0].Of
		h.queue.Remove(&o.when)
		due = append(due, o)
	}
	h.arm(now)
	return due
}

// offer asks the newcomer what it has, and gives it the item unless it has that.
func (h *handovers) offer(o *handover) {
	it, _, ok := h.shelf.get(o.target, h.clock.Now())
	if !ok {
		return
	}
	look := kademlia.Lookup{Method: krpc.MethodGet, Fill: func(m *krpc.Message) {
		m.HasTarget, m.Target = true, o.target
		m.HasSeq, m.Seq = it.Mutable(), it.Seq
	}}
	h.n.Query(o.to, look.Method, look.Fill, func(r *krpc.Message, _ time.Duration, err error) {
		if err != nil || holds(r, it) {
			return
		}
		_, left, ok := h.shelf.get(o.target, h.clock.Now())
		if !ok {
			return
		}
		h.n.Store([]kademlia.Contact{{NodeInfo: o.to, Token: r.Token}}, kademlia.Store{
			Method: krpc.MethodPut,
			Fill:   func(m *krpc.Message, _ krpc.NodeInfo) { it.fillPut(m, o.target, left) },
			Lookup: look,
			Done:   func(res kademlia.StoreResult) { h.counters.handedOver.Add(uint64(res.Stored)) },
		})
	})
}

// holds tells from a reply to get whether its sender holds it, or a newer version.
func holds(r *krpc.Message, it *Item) bool {
	if it.Mutable() {
		return r.HasSeq && r.Seq >= it.Seq
	}
	return r.V != nil
}

func (h *handovers) addTo(st *Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	st.Handovers += len(h.queue)
	st.MaxHandovers += maxHandovers
}

func (h *handovers) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
}
