package store

import (
	"iter"
	"sync"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/kademlia/schedule"
	"github.com/kadnode/kadnode/krpc"
)

// The kinds of what the journal has of kept items, in the form of record.
//
//	kept    kind 1, due 8, item
//	unkept  kind 1, target 20
//	put     kind 1, target 20, due 8
//	all     kind 1: begins a snapshot, what is not in which is not kept
const (
	keptImmutable kind = iota + 1
	keptMutable
	unkept
	keptPut
	keptAll
)

// keptRecords records what becomes of kept items. What is recorded is how things are, and
// not what has changed: so the last record of an item is right, whoever comes first of those
// that change it at the same time.
type keptRecords struct {
	log *journal.Log // nil: nothing is recorded
	mu  sync.Mutex   // from a look at the schedule until that is recorded
	buf []byte       // of a record
}

// record records whether an item is kept.
func (p *publisher) record(target krpc.ID) {
	p.write(func(dst []byte) []byte {
		if it, due, ok := p.Job(target); ok {
			return appendKept(dst, &it, due)
		}
		return append(append(dst, byte(unkept)), target[:]...)
	})
}

// recordPut records that an item has been put, and when that comes again.
func (p *publisher) recordPut(target krpc.ID) {
	p.write(func(dst []byte) []byte {
		if _, due, ok := p.Job(target); ok {
			return appendTime(append(append(dst, byte(keptPut)), target[:]...), due)
		}
		return dst
	})
}

// write records what appendTo appends, if anything.
func (p *publisher) write(appendTo func(dst []byte) []byte) {
	r := &p.records
	if r.log == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf = appendTo(r.buf[:0]); len(r.buf) > 0 {
		r.log.Append(TagKept, r.buf)
	}
}

// appendKept appends the record of an item that is kept, and put when it is due.
func appendKept(dst []byte, it *Item, due time.Time) []byte {
	k := keptImmutable
	if it.Mutable() {
		k = keptMutable
	}
	return appendItem(appendTime(append(dst, byte(k)), due), it)
}

// keptRecord is a record of a kept item.
type keptRecord struct {
	kind   kind
	target krpc.ID
	due    time.Time // unless it is unkept
	item   Item      // if it is kept
}

// decode sets r to the record in b, which its item aliases. The error is nil or errRecord.
func (r *keptRecord) decode(b []byte) error {
	f := fields{rest: b}
	switch r.kind = kind(f.byte()); r.kind {
	case keptImmutable, keptMutable:
		r.due = f.time()
		f.item(&r.item, r.kind == keptMutable)
		r.target = r.item.Target()
	case unkept:
		r.target = f.id()
	case keptPut:
		r.target, r.due = f.id(), f.time()
	case keptAll:
	default:
		return errRecord
	}
	if !f.whole() {
		return errRecord
	}
	return nil
}

// keptState is what is kept, as a journal.State.
type keptState struct {
	*publisher
	max     int // items
	leftOut int // records of a replay, since there were too many
}

// Replay implements journal.State.
func (s *keptState) Replay(b []byte, _, _ time.Time) error {
	var r keptRecord
	if err := r.decode(b); err != nil {
		return err
	}
	switch r.kind {
	case keptAll:
		s.leftOut = 0
		for _, target := range s.Keys() {
			s.Remove(target)
		}
	case unkept:
		s.Remove(r.target)
	case keptPut:
		if it, _, ok := s.Job(r.target); ok {
			s.Remove(r.target)
			s.keepAgain(r.target, it, r.due)
		}
	default:
		s.keepAgain(r.target, *r.item.clone(), r.due)
	}
	return nil
}

// keepAgain keeps it as before the restart, unless a newer version is kept.
func (s *keptState) keepAgain(target krpc.ID, it Item, due time.Time) {
	if s.AddAt(target, it, due) == schedule.ErrTooMany {
		s.leftOut++
	}
}

// report logs, after a replay, what it has left out.
func (s *keptState) report() {
	if s.leftOut > 0 {
		s.publisher.log.Warn("some items are not kept any longer: there may be fewer than before the restart",
			"left_out", s.leftOut, "max", s.max)
	}
}

// Records implements journal.State.
func (s *keptState) Records(time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		b := []byte{byte(keptAll)}
		if !yield(b) {
			return
		}
		for _, target := range s.Keys() {
			if it, due, ok := s.Job(target); ok {
				if b = appendKept(b[:0], &it, due); !yield(b) {
					return
				}
			}
		}
	}
}
