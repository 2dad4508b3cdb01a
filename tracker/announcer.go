package tracker

import (
	"errors"
	"iter"
	"math/rand/v2"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/schedule"
	"github.com/kadnode/kadnode/krpc"
)

// ErrTooMany refuses to track more than Config.MaxTracked info-hashes.
var ErrTooMany = errors.New("tracker: track: too many info-hashes")

// ErrClosed refuses to track with a tracker that was closed.
var ErrClosed = errors.New("tracker: closed")

// maxAnnouncing bounds the lookups of announces at a time. A lookup takes a second
// or two, so that it is enough for 100 000 info-hashes in 15 minutes; three queries
// each are below krpc.DefaultSendBurst.
const maxAnnouncing = 256

// announcer announces the tracked info-hashes.
type announcer = schedule.Periodic[AnnounceOptions]

func newAnnouncer(t *Tracker, cfg Config) *announcer {
	seed := cfg.Swarms.Rand
	return schedule.New(schedule.Config[AnnounceOptions]{
		Clock:    t.clock,
		Rand:     rand.New(rand.NewPCG(seed.Uint64(), seed.Uint64())),
		Interval: cfg.AnnounceInterval,
		Max:      cfg.MaxTracked,
		Parallel: maxAnnouncing,
		Ready:    func() bool { return kademlia.AnyJoined(t.nodes) },
		Run:      t.announceTracked,
		Replaces: func(o, old AnnounceOptions) (bool, error) { return o != old, nil },
		Log:      cfg.Log,
		Name:     "announces",
	})
}

// Track has ih announced now, and again at every interval until Untrack. To
// track it with other options than before replaces them. With Config.Journal it
// is tracked after a restart too, as soon as Track has returned. The error is nil,
// ErrTooMany, ErrNoPort or ErrClosed.
func (t *Tracker) Track(ih krpc.ID, o AnnounceOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	if err := trackError(t.announcer.Add(ih, o)); err != nil {
		return err
	}
	t.tracked.record(ih)
	return nil
}

// trackError returns the error of ours that says what one of schedule's does.
func trackError(err error) error {
	switch err {
	case schedule.ErrTooMany:
		return ErrTooMany
	case schedule.ErrClosed:
		return ErrClosed
	}
	return err
}

// Untrack ends what Track began. Nodes remember the last announce for a while.
func (t *Tracker) Untrack(ih krpc.ID) {
	t.announcer.Remove(ih)
	t.tracked.record(ih)
}

// Tracked returns the number of info-hashes that are tracked.
func (t *Tracker) Tracked() int { return t.announcer.Stats().Jobs }

// Tracks tells whether ih is tracked.
func (t *Tracker) Tracks(ih krpc.ID) bool {
	_, _, ok := t.announcer.Job(ih)
	return ok
}

// TrackedHashes returns the info-hashes that are tracked, and how, in their order. Those that are
// tracked or not any more since the call began may be among them or not.
func (t *Tracker) TrackedHashes() iter.Seq2[krpc.ID, AnnounceOptions] {
	return func(yield func(krpc.ID, AnnounceOptions) bool) {
		for _, ih := range t.announcer.Keys() {
			if o, _, ok := t.announcer.Job(ih); ok && !yield(ih, o) {
				return
			}
		}
	}
}

// announceTracked is one announce of a tracked info-hash.
func (t *Tracker) announceTracked(turn *schedule.Turn[AnnounceOptions]) (stop func()) {
	a := t.newAnnounce(turn.Key, turn.Job, func(res AnnounceResult) { turn.End(res.Stored > 0) })
	// Stores are not waited for: one of eight datagrams lost would hold up the next
	// lookup for the hard timeout.
	lookup := func(i int) kademlia.Lookup {
		l := a.lookup(i)
		l.Later = true
		return l
	}
	a.start(lookup, func() { turn.Free(); a.settle() })
	return a.Stop
}
