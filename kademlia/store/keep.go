package store

import (
	"errors"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/schedule"
	"github.com/kadnode/kadnode/krpc"
)

var (
	// ErrTooMany refuses to keep more than Config.MaxKept items.
	ErrTooMany = errors.New("store: keep: too many items")
	// ErrClosed refuses to keep an item after Close.
	ErrClosed = errors.New("store: keep: closed")
)

// maxPutting bounds the puts of kept items at a time. One that loses a datagram waits for
// the hard timeout, some 12 seconds in all: if every one did, 38 000 an hour.
const maxPutting = 128

// publisher puts the kept items again and again.
type publisher struct {
	*schedule.Periodic[Item]
	log                    *slog.Logger
	records                keptRecords
	puts, failed, outdated atomic.Uint64
}

func (p *publisher) init(s *Items, cfg Config) {
	p.log = cfg.Log
	p.records.log = cfg.Journal
	p.Periodic = schedule.New(schedule.Config[Item]{
		Clock:    s.clock,
		Rand:     rand.New(rand.NewPCG(cfg.Rand.Uint64(), cfg.Rand.Uint64())),
		Interval: cfg.KeepInterval,
		Max:      cfg.MaxKept,
		Parallel: maxPutting,
		Ready:    func() bool { return kademlia.AnyJoined(s.nodes) },
		Run:      s.putKept,
		Replaces: replaces,
		Log:      cfg.Log,
		Name:     "puts of kept items",
	})
}

// KeepOptions says how to keep an item. The zero KeepOptions has it put at once.
type KeepOptions struct {
	// Stored says that it has just been put, and that enough nodes have stored it: the
	// first put comes with its slot in the next Config.KeepInterval.
	Stored bool
}

// Keep has it put now, unless o says otherwise, and again at every Config.KeepInterval until Unkeep, since nodes
// forget an item whose publisher has not put it for Life (BEP 44). It takes the place of
// an older version of the same mutable item. The error is nil, what Item.Check says,
// ErrOutdated or ErrConflict if another version is kept already, ErrTooMany or ErrClosed.
//
// If the network turns out to have a newer version of a mutable item, somebody else with
// its key publishes it now: the item is not kept any longer, which is logged.
func (s *Items) Keep(it Item, o KeepOptions) error {
	if err := it.Check(); err != nil {
		return err
	}
	add := s.publisher.Add
	if o.Stored {
		add = s.publisher.AddDone
	}
	target := it.Target()
	switch err := add(target, it); err {
	case nil:
		s.publisher.record(target)
		s.journal.Commit()
		return nil
	case schedule.ErrTooMany:
		return ErrTooMany
	case schedule.ErrClosed:
		return ErrClosed
	default:
		return err
	}
}

// Unkeep ends what Keep began. Nodes remember the last put for up to Life.
func (s *Items) Unkeep(target krpc.ID) {
	s.publisher.Remove(target)
	s.publisher.record(target)
	s.journal.Commit()
}

// Kept returns the number of items that are kept.
func (s *Items) Kept() int { return s.publisher.Stats().Jobs }

// Keeps tells whether an item with a target is kept.
func (s *Items) Keeps(target krpc.ID) bool {
	_, _, ok := s.publisher.Job(target)
	return ok
}

// KeptItems returns the items that are kept, in the order of their targets. Those that are kept
// or not any more since the call began may be among them or not.
func (s *Items) KeptItems() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, target := range s.publisher.Keys() {
			if it, _, ok := s.publisher.Job(target); ok && !yield(it) {
				return
			}
		}
	}
}

// replaces tells whether it is to be kept instead of old, which has the same target.
func replaces(it, old Item) (bool, error) {
	switch {
	case it.Seq < old.Seq:
		return false, ErrOutdated
	case it.Seq > old.Seq:
		return true, nil
	case string(it.V) != string(old.V):
		return false, ErrConflict
	}
	return false, nil
}

// putKept is one put of a kept item. While the network has a rival with the same seq, it
// fails and is tried again: if both publishers gave up, nobody would publish the item.
func (s *Items) putKept(turn *schedule.Turn[Item]) (stop func()) {
	p := &s.publisher
	return s.PutItem(turn.Job, PutOptions{}, func(res PutResult, err error) {
		if errors.Is(err, kademlia.ErrStopped) {
			turn.End(false)
			return
		}
		p.puts.Add(1)
		if err != nil {
			p.failed.Add(1)
		}
		if !errors.Is(err, ErrOutdated) {
			// Few holders are soon none. Right after an outage there are only few to find.
			enough := 2*res.Stored >= s.nodes[0].K()
			if turn.End(enough); enough {
				p.recordPut(turn.Key)
			}
			return
		}
		if turn.Drop() {
			p.record(turn.Key)
			p.outdated.Add(1)
			p.log.Warn("an item is not kept any longer: somebody else with its key has published a newer version",
				"target", turn.Key, "seq", turn.Job.Seq, "newer", res.Newer.Seq)
		}
	})
}

func (p *publisher) addTo(st *Stats) {
	s := p.Stats()
	st.Kept, st.MaxKept, st.Keeping, st.KeepLag = s.Jobs, s.Max, s.Running, s.Lag
	st.KeepFailed, st.KeepOutdated = p.failed.Load(), p.outdated.Load()
	st.KeepPuts = p.puts.Load() // at last: never less than failed
}
