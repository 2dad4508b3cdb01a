package store

import (
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// GetOptions says which item is wanted.
type GetOptions struct {
	// Salt is what the publisher of a mutable item has signed it with. It is not
	// modified, and may not be until the get has ended.
	Salt []byte
	// Seen, if it is set, says that a mutable item is only wanted if its Seq is above.
	Seen *int64
}

// wants tells whether it is wanted.
func (o *GetOptions) wants(it *Item) bool {
	return !it.Mutable() || o.Seen == nil || it.Seq > *o.Seen
}

// FindResult is how a get ended.
type FindResult struct {
	Item  Item // the newest one, verified; to be read only
	Found bool
	// Contested says that another value with the same Seq is about: two writers did
	// not know of each other. Item has the greater value of the two, for all readers.
	Contested bool
	// Left is how long the node that keeps Item longest will do so; 0: nobody said, as
	// other implementations do not.
	Left time.Duration
	// Holders is the number of nodes, ours among them, that have Item or, if none was
	// found, that say to have one which is not newer than GetOptions.Seen.
	Holders int
	Lookups []kademlia.LookupResult // in the order of the nodes; none if Item was ours
}

// FindItem looks up the item at target (BEP 44), on our own shelves and then at every
// node at once. An immutable one ends the search; of mutable ones the highest Seq
// counts, whoever is asked last. What does not verify counts as nothing.
//
// onDone is called once, perhaps before FindItem returns, and may not block. After it,
// the nodes that had an older version are given the newer, and the closest one that had
// none a copy for a while. stop ends the search early, with what was found until then
// and kademlia.ErrStopped in the lookups.
func (s *Items) FindItem(target krpc.ID, o GetOptions, onDone func(FindResult)) (stop func()) {
	f := &finding{search: search{items: s, target: target, o: o, kind: kademlia.LookupGet}, onDone: onDone}
	f.start(f.end)
	return f.Stop
}

// finding is a get under way.
type finding struct {
	search
	onDone func(FindResult)
}

func (f *finding) end() {
	res := f.result()
	f.onDone(res)
	if res.Found && !f.Stopped {
		f.spread(res.Left)
	}
}

func (f *finding) result() FindResult {
	res := FindResult{Lookups: f.Results}
	if it := f.best; it != nil && f.o.wants(it) {
		res.Item, res.Found = *it, true
	}
	now := f.items.clock.Now()
	for i := range f.holders {
		h := &f.holders[i]
		switch {
		case h.lied:
		case !res.Found:
			res.Holders++
		case h.item == nil:
		case h.item.rivals(f.best):
			res.Contested = true
		case h.item.Seq == f.best.Seq:
			res.Holders++
			res.Left = max(res.Left, h.until.Sub(now))
		}
	}
	return res
}
