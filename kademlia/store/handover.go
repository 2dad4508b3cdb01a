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
	// A shelf is looked through in steps of so many items, with a pause between them:
	// whoever takes one id after another near ours may not cost us more.
	handoverStep  = 64
	handoverBreak = 20 * time.Millisecond
	// maxNewcomers bounds the newcomers that are seen to at a time. Others wait for the
	// next republishing.
	maxNewcomers = 16
)

// newcomer is a node that has come in near to us, and the items that it may have to
// hold. They are gone through once for each rank that we may have.
type newcomer struct {
	krpc.NodeInfo
	came    time.Time
	rank    int
	targets []krpc.ID // those that were held when it came
	next    int       // of targets
	when    schedule.Due[*newcomer]
}

// handovers gives newcomers the items of one shelf that they are to hold.
type handovers struct {
	n        *kademlia.Node
	shelf    shelf
	clock    krpc.Clock
	counters *counters

	mu     sync.Mutex // guards what follows
	rng    rand.PCG
	queue  schedule.Queue[*newcomer]
	timer  krpc.Timer // nil until there was something to wait for
	closed bool
}

// welcome notes a new contact. It is called where datagrams are answered: the work is
// the timer's.
func (h *handovers) welcome(c krpc.NodeInfo) {
	if c.ID.CommonPrefixLen(h.n.ID()) < h.depth() || h.shelf.empty() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	known := slices.ContainsFunc(h.queue, func(d *schedule.Due[*newcomer]) bool { return d.Of.Addr == c.Addr })
	if h.closed || known || len(h.queue) == maxNewcomers {
		return
	}
	now := h.clock.Now()
	nc := &newcomer{NodeInfo: c, came: now}
	nc.when = schedule.Due[*newcomer]{At: h.turn(nc), Of: nc}
	h.queue.Push(&nc.when)
	h.arm(now)
}

// depth returns how many bits an item has to share with us at least for us to be one of
// the nearest to it: around one that shares fewer there are k nodes nearer to it.
func (h *handovers) depth() int {
	self, k := h.n.ID(), h.n.K()
	near := h.n.Closest(self, k)
	if len(near) < k {
		return 0
	}
	return max(0, near[k-1].ID.CommonPrefixLen(self)-1)
}

// turn returns when to go through the items of the newcomer's present rank.
func (h *handovers) turn(nc *newcomer) time.Time {
	jitter := time.Duration(h.rng.Uint64() % uint64(handoverDelay))
	return nc.came.Add(time.Duration(nc.rank)*handoverDelay + jitter)
}

// arm sets the timer to the first newcomer that is due.
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
	nc, part := h.take(h.clock.Now())
	if nc == nil {
		return
	}
	pause := handoverBreak
	used := len(part)
	for i, target := range part {
		if h.concerns(nc, target) {
			h.offer(nc.NodeInfo, target)
			pause, used = handoverPause, i+1
			break
		}
	}
	h.goOn(nc, used, pause)
}

// take returns the newcomer that is due, and the next items to look at for it.
func (h *handovers) take(now time.Time) (nc *newcomer, part []krpc.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.queue) == 0 || h.queue[0].At.After(now) {
		h.arm(now)
		return nil, nil
	}
	nc = h.queue[0].Of
	if nc.targets == nil {
		nc.targets = h.shelf.within(h.depth())
	}
	return nc, nc.targets[nc.next:min(nc.next+handoverStep, len(nc.targets))]
}

// goOn notes that so many items were looked at, and lets the next ones wait.
func (h *handovers) goOn(nc *newcomer, looked int, pause time.Duration) {
	now := h.clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if nc.next += looked; nc.next < len(nc.targets) {
		h.queue.Move(&nc.when, now.Add(pause))
	} else if nc.rank++; nc.rank < handoverRanks {
		nc.next = 0
		at := h.turn(nc)
		if soonest := now.Add(pause); at.Before(soonest) {
			at = soonest
		}
		h.queue.Move(&nc.when, at)
	} else {
		h.queue.Remove(&nc.when)
	}
	h.arm(now)
}

// concerns tells whether nc is one of the k closest nodes to target and just so many
// others are nearer to it than we are as nc.rank says.
func (h *handovers) concerns(nc *newcomer, target krpc.ID) bool {
	self := h.n.ID()
	closest := h.n.Closest(target, h.n.K())
	rank := 0
	for _, o := range closest {
		if o != nc.NodeInfo && krpc.CompareDistance(o.ID, self, target) < 0 {
			rank++
		}
	}
	return rank == nc.rank && slices.Contains(closest, nc.NodeInfo)
}

// offer asks the newcomer what it has, and gives it the item unless it has that.
func (h *handovers) offer(to krpc.NodeInfo, target krpc.ID) {
	it, _, ok := h.shelf.get(target, h.clock.Now())
	if !ok {
		return
	}
	look := kademlia.Lookup{Method: krpc.MethodGet, Fill: func(m *krpc.Message) {
		m.HasTarget, m.Target = true, target
		m.HasSeq, m.Seq = it.Mutable(), it.Seq
	}}
	h.n.Query(to, look.Method, look.Fill, func(r *krpc.Message, _ time.Duration, err error) {
		if err != nil || holds(r, it) {
			return
		}
		_, left, ok := h.shelf.get(target, h.clock.Now())
		if !ok {
			return
		}
		h.n.Store([]kademlia.Contact{{NodeInfo: to, Token: r.Token}}, kademlia.Store{
			Method: krpc.MethodPut,
			Fill:   func(m *krpc.Message, _ krpc.NodeInfo) { it.fillPut(m, target, left) },
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
	st.Newcomers += len(h.queue)
	st.MaxNewcomers += maxNewcomers
}

func (h *handovers) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
}
