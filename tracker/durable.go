package tracker

import (
	"net/netip"
	"sync"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/krpc"
)

// The tags of a Tracker's records in a journal.
const (
	TagPeers   journal.Tag = 1 // peers that are stored, see NewDurable
	TagTracked journal.Tag = 2 // info-hashes that are announced, see Config.Journal
)

// Durable is a Swarms that outlives the process: what Announce accepts is recorded in a
// journal.Log, and stored again when that is loaded. Peers expire when they would have
// without the restart, give or take two ticks of 16 seconds. That an info-hash is looked up is
// recorded in snapshots alone, so that in a full store others may give way after a restart than
// would have without it.
type Durable struct {
	*Swarms
	log   *journal.Log
	keyed sync.Once // the seed of the shards has been recorded
}

// NewDurable returns a store that keeps its peers in mem and records them in log, which may be
// nil, under TagPeers: it attaches itself. mem is to be empty, and used through Durable alone.
func NewDurable(mem *Swarms, log *journal.Log) *Durable {
	log.Attach(TagPeers, swarmsState{mem})
	return &Durable{Swarms: mem, log: log}
}

// Announce is Swarms.Announce. What it accepts is appended to the log, and written by the
// next journal.Log.Commit, which is to come before the reply leaves.
func (d *Durable) Announce(ih krpc.ID, peer netip.AddrPort, seed bool, now time.Time) error {
	if err := d.Swarms.Announce(ih, peer, seed, now); err != nil {
		return err
	}
	d.keyed.Do(d.recordShards)
	var record [maxPeerRecord]byte
	d.log.Append(TagPeers, appendPeerRecord(record[:0], &ih, peer, seed))
	return nil
}

func (d *Durable) recordShards() {
	d.log.Append(TagPeers, appendShardsRecord(nil, d.seed))
}

// swarmsState is a Swarms as a log replays and compacts it.
type swarmsState struct{ *Swarms }

// Replay implements journal.State. Bounds are those of announces, except that what is
// fresher takes the place of what is not, and the peers that have no place are left out.
func (s swarmsState) Replay(record []byte, at, now time.Time) error {
	if len(record) == 0 {
		return errRecord
	}
	switch kind := record[0]; kind {
	case recordPeer, recordSeed:
		return s.replayPeer(record[1:], kind == recordSeed, at, now)
	case recordSwarm4:
		return s.replaySwarm(record[1:], v4, now)
	case recordSwarm6:
		return s.replaySwarm(record[1:], v6, now)
	case recordShards:
		return s.replayShards(record[1:])
	}
	return errRecord
}
