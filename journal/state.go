package journal

import (
	"iter"
	"time"
)

// Tag says which State a record belongs to. It is part of the format of the files: a tag is
// never given to another State.
type Tag byte

// State is a part of a program's memory that a Log keeps.
//
// What is changed is recorded by Log.Append, after the change: what is recorded before a
// snapshot begins must be in it. A record may be replayed into a state that is newer than
// itself, because a snapshot is taken while the state changes, and then comes again: to
// replay must do no harm then.
type State interface {
	// Replay takes in a record that was appended at a time, or came from Records then; now is
	// the time of the replay. Both are of the Log's clock, so at may be after now if that was
	// set back meanwhile. The record is valid during the call only. An error says that it is
	// not understood: it is counted, and the next one follows. Replay is called by one
	// goroutine, before anything else uses the state. It must not append.
	Replay(record []byte, at, now time.Time) error
	// Records returns records that make up the state when they are replayed: a snapshot,
	// taken while others use and change the state. No lock is held while one is yielded. Each is
	// valid until the next one is asked for, and at most MaxRecord bytes long.
	Records(now time.Time) iter.Seq[[]byte]
}
