package tracker

import binheap "container/heap"

// victims are the swarms of a shard in the order in which they give way to what is restored, as
// a heap. There are some from the first time that a replay finds no room until Expire comes by:
// without them each swarm that is too many were a search through all.
//
// To use a swarm, or to remove it, leaves them as they are: whoever takes the first one sees to it.
type victims []victim

type victim struct {
	sw   *swarm
	used uint32 // not after sw.used
}

// longestUnused returns the swarm that was used longest ago; nil if there is none.
func (sh *shard) longestUnused() *swarm {
	if sh.victims == nil {
		sh.victims = make(victims, 0, len(sh.swarms))
		for _, sw := range sh.swarms {
			sh.victims = append(sh.victims, victim{sw, sw.used})
		}
		binheap.Init(&sh.victims)
	}
	for len(sh.victims) > 0 {
		switch first := &sh.victims[0]; {
		case first.sw.removed():
			binheap.Pop(&sh.victims)
		case first.used < first.sw.used:
			first.used = first.sw.used
			binheap.Fix(&sh.victims, 0)
		default:
			return first.sw
		}
	}
	return nil
}

// addVictim adds a swarm that is new, if there are victims. Those that are removed must not
// become more than the others: the next search begins anew then.
func (sh *shard) addVictim(sw *swarm) {
	switch {
	case sh.victims == nil:
	case len(sh.victims) >= 2*len(sh.swarms):
		sh.victims = nil
	default:
		binheap.Push(&sh.victims, victim{sw, sw.used})
	}
}

// Len implements heap.Interface.
func (v victims) Len() int { return len(v) }

// Less implements heap.Interface.
func (v victims) Less(i, j int) bool { return v[i].used < v[j].used }

// Swap implements heap.Interface.
func (v victims) Swap(i, j int) { v[i], v[j] = v[j], v[i] }

// Push implements heap.Interface.
func (v *victims) Push(x any) { *v = append(*v, x.(victim)) }

// Pop implements heap.Interface.
func (v *victims) Pop() any {
	end := len(*v) - 1
	last := (*v)[end]
	(*v)[end] = victim{}
	*v = (*v)[:end]
	return last
}
