package tracker

import (
	binheap "container/heap"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// tracked is an info-hash to be announced. Its announcer's lock guards it.
type tracked struct {
	ih       krpc.ID
	o        AnnounceOptions
	slot     time.Duration // when in each interval
	failures int           // in a row
	current  *announce     // under way, or nil

	due time.Time // for the next announce
	pos int       // in the dueQueue
}

// dueQueue is a heap of tracked info-hashes: the first is due first.
type dueQueue []*tracked

func (q *dueQueue) push(e *tracked)   { binheap.Push((*dueHeap)(q), e) }
func (q *dueQueue) remove(e *tracked) { binheap.Remove((*dueHeap)(q), e.pos) }

// dueHeap implements heap.Interface for dueQueue.
type dueHeap []*tracked

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *dueHeap) Push(x any) {
	e := x.(*tracked)
	e.pos = len(*h)
	*h = append(*h, e)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
