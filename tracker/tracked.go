package tracker

import (
	"encoding/binary"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/krpc"
)

// The records of what is tracked, after their kind.
//
//	recordAll:       nothing: begins a snapshot. What it does not name is not tracked
//	recordTracked:   info-hash, port u16 little-endian, options u8
//	recordUntracked: info-hash
const (
	recordAll byte = 1 + iota
	recordTracked
	recordUntracked
)

// The options of a recordTracked.
const (
	optionImpliedPort = 1 << iota
	optionSeed
	optionReuse

	options = optionImpliedPort | optionSeed | optionReuse
)

const trackedLen = krpc.IDLen + 2 + 1

// trackedState is what is tracked, as a log replays and compacts it.
type trackedState struct {
	announcer *announcer
	log       *journal.Log
	leftOut   int // records of a replay, since there were too many

	// Of the records of an info-hash the last one must say how it is. What is changed calls
	// back, which is not to be done under a lock. So records do not tell what was changed but
	// what has come of it by then, and only they are made one at a time.
	mu sync.Mutex
}

// record has a change of ih survive the process.
func (s *trackedState) record(ih krpc.ID) {
	s.mu.Lock()
	var record [1 + trackedLen]byte
	s.log.Append(TagTracked, s.appendRecord(record[:0], &ih))
	s.mu.Unlock()
	s.log.Commit()
}

// appendRecord appends a record of how ih is tracked.
func (s *trackedState) appendRecord(dst []byte, ih *krpc.ID) []byte {
	o, _, ok := s.announcer.Job(*ih)
	if !ok {
		return append(append(dst, recordUntracked), ih[:]...)
	}
	dst = append(append(dst, recordTracked), ih[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, o.Port)
	return append(dst, packOptions(o))
}

func packOptions(o AnnounceOptions) (bits byte) {
	if o.ImpliedPort {
		bits |= optionImpliedPort
	}
	if o.Seed {
		bits |= optionSeed
	}
	if o.Reuse {
		bits |= optionReuse
	}
	return bits
}

func unpackOptions(port uint16, bits byte) AnnounceOptions {
	return AnnounceOptions{
		Port:        port,
		ImpliedPort: bits&optionImpliedPort != 0,
		Seed:        bits&optionSeed != 0,
		Reuse:       bits&optionReuse != 0,
	}
}

// Replay implements journal.State. What is tracked is not announced at once, but when its
// turn comes within an interval. An error is also ErrTooMany.
func (s *trackedState) Replay(record []byte, _, _ time.Time) error {
	if len(record) == 0 {
		return errRecord
	}
	switch kind, b := record[0], record[1:]; {
	case kind == recordAll && len(b) == 0:
		s.leftOut = 0
		for _, ih := range s.announcer.Keys() {
			s.announcer.Remove(ih)
		}
		return nil
	case kind == recordTracked && len(b) == trackedLen && b[trackedLen-1]&^options == 0:
		port := binary.LittleEndian.Uint16(b[krpc.IDLen:])
		return s.track(krpc.ID(b[:krpc.IDLen]), unpackOptions(port, b[trackedLen-1]))
	case kind == recordUntracked && len(b) == krpc.IDLen:
		s.announcer.Remove(krpc.ID(b))
		return nil
	}
	return errRecord
}

func (s *trackedState) track(ih krpc.ID, o AnnounceOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	err := trackError(s.announcer.AddDone(ih, o))
	if err == ErrTooMany {
		s.leftOut++
	}
	return err
}

// report logs, after a replay, what it has left out.
func (s *trackedState) report(log *slog.Logger) {
	if s.leftOut > 0 {
		log.Warn("some info-hashes are not tracked any longer: there may be fewer than before the restart",
			"left_out", s.leftOut, "max", s.announcer.Stats().Max)
	}
}

// Records implements journal.State.
func (s *trackedState) Records(time.Time) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		buf := make([]byte, 0, 1+trackedLen)
		if !yield(append(buf, recordAll)) {
			return
		}
		for _, ih := range s.announcer.Keys() {
			if !yield(s.appendRecord(buf, &ih)) {
				return
			}
		}
	}
}
