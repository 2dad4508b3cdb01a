package schedule

import (
	binheap "container/heap"
	"time"
)

// Due is something that is due at a time, and its place in a Queue.
type Due[T any] struct {
	At  time.Time // changed by Move while in a Queue
	Of  T
	pos int // in the Queue
}

// Queue is a heap: what is due first comes first. The zero Queue is empty. It is not
// safe for concurrent use.
type Queue[T any] []*Due[T]

// Push adds d, which must not be in a Queue.
func (q *Queue[T]) Push(d *Due[T]) { binheap.Push((*dueHeap[T])(q), d) }

// Remove removes d, which must be in q.
func (q *Queue[T]) Remove(d *Due[T]) { binheap.Remove((*dueHeap[T])(q), d.pos) }

// Move lets d, which must be in q, be due at another time.
func (q *Queue[T]) Move(d *Due[T], at time.Time) {
	d.At = at
	binheap.Fix((*dueHeap[T])(q), d.pos)
}

// dueHeap implements heap.Interface for Queue.
type dueHeap[T any] []*Due[T]

func (h dueHeap[T]) Len() int           { return len(h) }
func (h dueHeap[T]) Less(i, j int) bool { return h[i].At.Before(h[j].At) }

func (h dueHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *dueHeap[T]) Push(x any) {
	d := x.(*Due[T])
	d.pos = len(*h)
	*h = append(*h, d)
}

func (h *dueHeap[T]) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return d
}
