package tracker

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// The records of a Durable, after their kind. Numbers are little-endian, addresses compact as
// in BEP 5, and times ticks of 16 seconds since 1970.
//
//	recordPeer, recordSeed: info-hash, address: announced when the record was made
//	recordSwarm4, -6:       info-hash, last use u32, announce of the last entry u32, entries
//	recordShards:           the seed of the key that info-hashes fall to shards by, 2 u64
//
// Entries are those of a peerArray, at least one: an address, and a stamp that counts back
// from the last entry's. So a peer of a swarm takes 8 or 20 bytes, and a swarm is copied as
// it is. Shards are the same in the next process because some have less room left than others,
// and what had a place in one is to find it again.
const (
	recordPeer byte = 1 + iota
	recordSeed
	recordSwarm4
	recordSwarm6
	recordShards
)

const (
	maxPeerRecord   = 1 + krpc.IDLen + width6 - stampLen
	swarmHeaderLen  = 1 + krpc.IDLen + 4 + 4
	maxSwarmEntries = 16 << 10 // bytes of a record; a larger swarm is several
	shardsLen       = 2 * 8
)

var errRecord = errors.New("tracker: replay: not a record")

func appendPeerRecord(dst []byte, ih *krpc.ID, peer netip.AddrPort, seed bool) []byte {
	kind := recordPeer
	if seed {
		kind = recordSeed
	}
	return krpc.AppendCompactAddr(append(append(dst, kind), ih[:]...), peer)
}

func appendShardsRecord(dst []byte, seed [2]uint64) []byte {
	dst = binary.LittleEndian.AppendUint64(append(dst, recordShards), seed[0])
	return binary.LittleEndian.AppendUint64(dst, seed[1])
}

// appendSwarmRecord appends a record of a swarm's entries. The times are in ticks since 1970.
func appendSwarmRecord(dst []byte, f family, ih *krpc.ID, used, last uint32, entries []byte) []byte {
	dst = append(append(dst, recordSwarm4+byte(f)), ih[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, used)
	dst = binary.LittleEndian.AppendUint32(dst, last)
	return append(dst, entries...)
}

func (s *Swarms) replayPeer(b []byte, seed bool, at, now time.Time) error {
	f := v4
	if len(b) == krpc.IDLen+width6-stampLen {
		f = v6
	}
	if len(b) != krpc.IDLen+f.width()-stampLen {
		return errRecord
	}
	var entry [width6]byte
	e := append(entry[:0], b[krpc.IDLen:]...)
	e = binary.LittleEndian.AppendUint16(e, makeStamp(0, seed))
	announced := unixTick(at)
	return s.restore((*krpc.ID)(b), f, e, announced, announced, now)
}

func (s *Swarms) replaySwarm(b []byte, f family, now time.Time) error {
	const header = swarmHeaderLen - 1
	if len(b) <= header || (len(b)-header)%f.width() != 0 {
		return errRecord
	}
	used, last := binary.LittleEndian.Uint32(b[krpc.IDLen:]), binary.LittleEndian.Uint32(b[krpc.IDLen+4:])
	return s.restore((*krpc.ID)(b), f, b[header:], last, used, now)
}

// replayShards has info-hashes fall to shards as they did before, unless there are some.
func (s *Swarms) replayShards(b []byte) error {
	if len(b) != shardsLen {
		return errRecord
	}
	if s.Hashes() == 0 {
		s.setSeed([2]uint64{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])})
	}
	return nil
}
