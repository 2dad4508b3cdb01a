package simnet

// entry is a timer's place in the queue. The keys are kept beside the pointer
// so that ordering the queue reads no timer.
type entry struct {
	at  int64  // nanoseconds since the clock's start
	seq uint64 // breaks ties in the order of scheduling
	t   *timer
}

func (e *entry) before(o *entry) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// queue is a 4-ary min-heap of timers, each of which knows its position: half
// as deep as a binary heap, and the children of an entry are neighbours.
type queue []entry

const (
	arity    = 4
	minQueue = 1024 // entries that it always has room for, once it had
)

func (q *queue) push(e entry) {
	*q = append(*q, e)
	q.up(len(*q)-1, e)
}

// remove takes out the entry at position i.
func (q *queue) remove(i int) {
	old := *q
	last := len(old) - 1
	moved := old[last]
	old[i].t.pos = idle
	old[last] = entry{} // lets go of the timer
	*q = old[:last]
	if cap(old) > minQueue && last < cap(old)/4 {
		*q = append(make(queue, 0, cap(old)/2), *q...) // a world that settles has fewer events
	}
	if i < last {
		q.place(i, moved)
	}
}

// place puts e at position i, whose entry is void, and restores the order.
func (q *queue) place(i int, e entry) {
	if i > 0 && e.before(&(*q)[(i-1)/arity]) {
		q.up(i, e)
	} else {
		q.down(i, e)
	}
}

func (q *queue) up(i int, e entry) {
	h := *q
	for i > 0 {
		parent := (i - 1) / arity
		if !e.before(&h[parent]) {
			break
		}
		h.set(i, h[parent])
		i = parent
	}
	h.set(i, e)
}

func (q *queue) down(i int, e entry) {
	h := *q
	for {
		first := arity*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+arity, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&e) {
			break
		}
		h.set(i, h[least])
		i = least
	}
	h.set(i, e)
}

func (q queue) set(i int, e entry) {
	q[i] = e
	e.t.pos = i
}
