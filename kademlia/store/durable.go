package store

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/krpc"
)

// recordStep is how many items are looked at for a snapshot while a lock is held.
const recordStep = 64

// durable is a memory whose items outlive the program: each change is recorded before its
// lock is free, so that records are in the order of the changes. What has expired needs none.
type durable struct {
	*memory
	log  *journal.Log
	home netip.AddrPort // what its node listens on

	buf []byte // of a record; guarded by memory.mu
}

func newDurable(m *memory, log *journal.Log, home netip.AddrPort) *durable {
	return &durable{memory: m, log: log, home: netip.AddrPortFrom(home.Addr().WithZone(""), home.Port())}
}

func (d *durable) take(o offer, verified *Item) (outcome, *krpc.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := d.weigh(&o, verified)
	switch c.what {
	case stored:
		// What gave way comes first, so that there is room in a replay, too.
		for e := c.evicted; e != nil; e = e.next {
			d.append(&record{kind: recordEviction, home: d.home, target: e.target})
		}
		r := d.record(c.entry)
		d.append(&r)
	case refreshed:
		d.append(&record{kind: recordRefresh, home: d.home, target: o.target, times: c.entry.times()})
	}
	return c.what, err
}

// append records r.
func (d *durable) append(r *record) {
	d.buf = r.append(d.buf[:0])
	d.log.Append(TagItems, d.buf)
}

// record returns what makes up e.
func (d *durable) record(e *entry) record {
	r := record{kind: recordImmutable, home: d.home, target: e.target, times: e.times(), from: e.from, item: *e.item}
	if e.item.Mutable() {
		r.kind = recordMutable
	}
	return r
}

func (e *entry) times() times {
	return times{expires: e.expires.At, received: e.received, due: e.due.At}
}

// records returns a record of each item, the one put least recently first: of those in one
// row it gives way first. No lock is held for more than recordStep of them.
func (d *durable) records() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		step := make([]record, 0, recordStep)
		var b []byte
		for part := range slices.Chunk(d.oldestFirst(), recordStep) {
			step = d.appendRecords(step[:0], part)
			for i := range step {
				if b = step[i].append(b[:0]); !yield(b) {
					return
				}
			}
		}
	}
}

// aged is an entry, and when it was last put as of some moment.
type aged struct {
	*entry
	received time.Time
}

// oldestFirst returns the entries that are there now by when they were last put.
func (d *durable) oldestFirst() []aged {
	d.mu.RLock()
	all := slices.Clone(d.expiries)
	d.mu.RUnlock()
	entries := make([]aged, 0, len(all))
	for part := range slices.Chunk(all, recordStep) {
		d.mu.RLock()
		for _, due := range part {
			entries = append(entries, aged{due.Of, due.Of.received})
		}
		d.mu.RUnlock()
	}
	slices.SortFunc(entries, func(a, b aged) int {
		if c := a.received.Compare(b.received); c != 0 {
			return c
		}
		return a.target.Compare(b.target) // simulations repeat
	})
	return entries
}

// appendRecords appends the records of those entries that are there yet.
func (d *durable) appendRecords(dst []record, entries []aged) []record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, e := range entries {
		if d.entries[e.target] == e.entry {
			dst = append(dst, d.record(e.entry))
		}
	}
	return dst
}
