package attack

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// An attacker who can forge source addresses answers in the place of a node that was asked. He has
// to guess the transaction id, and a wrong guess takes nothing away.
func TestForgedRepliesAreNotBelieved(t *testing.T) {
	f := newField(t, 20)
	victim, asked, elsewhere := f.Hosts[2], f.Hosts[5], f.Hosts[6]
	var got []kademlia.PingResult
	victim.Ping(asked.Addr, func(r kademlia.PingResult, err error) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, r)
	})
	dropped := victim.Stats().Endpoint.Drops[krpc.DropUnmatched]
	forged := krpc.Message{Kind: krpc.KindReply, HasID: true, ID: krpc.ID{6, 6, 6}}
	const guesses = 100_000
	for i := range guesses {
		forged.TID = binary.BigEndian.AppendUint32(nil, uint32(i)*0x9e3779b1)
		victim.Deliver(f.Clock.Now(), asked.Addr, forged.Append(nil), nil)
	}
	for _, length := range []int{1, 2, 3, 5, 20} {
		forged.TID = make([]byte, length)
		victim.Deliver(f.Clock.Now(), asked.Addr, forged.Append(nil), nil)
	}
	f.Clock.Run(time.Second)
	if len(got) != 1 || got[0].Node.ID != asked.ID() {
		t.Errorf("%d answers, %+v", len(got), got)
	}
	if n := victim.Stats().Endpoint.Drops[krpc.DropUnmatched] - dropped; n != guesses+5 {
		t.Errorf("%d of %d forged replies were dropped", n, guesses+5)
	}
	// The right transaction id from another address, which an accomplice has seen, is no reply either.
	var err error
	answered := false
	accomplice := f.Net.Host(Networks(1), func(now time.Time, _ netip.AddrPort, b []byte, _ krpc.Outbox) {
		var q krpc.Message
		if q.Decode(b) == nil && q.Kind == krpc.KindQuery {
			forged.TID = q.TID
			victim.Deliver(now, elsewhere.Addr, forged.Append(nil), nil)
		}
	})
	victim.Ping(Networks(1), func(_ kademlia.PingResult, e error) { answered, err = true, e })
	f.Clock.Run(time.Minute)
	if !answered || err != krpc.ErrTimeout {
		t.Errorf("answered from another address: %v", err)
	}
	accomplice.Close()
	t.Logf("%d guesses were dropped; one in 4 300 million is right", guesses)
}

// A flood of queries from 400 000 addresses that do not exist leaves nothing behind.
func TestSpoofedSourcesTakeNoMemory(t *testing.T) {
	f := newField(t, 100)
	victim := f.Hosts[2]
	before := victim.Stats()
	queries := 400_000
	if testing.Short() || raceEnabled {
		queries = 40_000
	}
	var heap [2]uint64
	measure := func(i int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		heap[i] = m.HeapAlloc
	}
	measure(0)
	out := counter{b: make([]byte, 0, krpc.MaxDatagram)}
	for i := range queries {
		q := krpc.Message{Kind: krpc.KindQuery, TID: []byte("t"), HasID: true, ID: krpc.RandomID(f.Rand)}
		switch i % 4 {
		case 0:
			q.Method = krpc.MethodPing
		case 1:
			q.Method, q.HasTarget, q.Target = krpc.MethodFindNode, true, krpc.RandomID(f.Rand)
		case 2:
			q.Method, q.HasInfoHash, q.InfoHash = krpc.MethodGetPeers, true, krpc.RandomID(f.Rand)
		case 3:
			q = announcePeer(krpc.RandomID(f.Rand), 1, []byte("12345678"))
			q.Kind, q.TID, q.HasID, q.ID = krpc.KindQuery, []byte("t"), true, krpc.RandomID(f.Rand)
		}
		victim.Deliver(f.Clock.Now(), simnet.Addr(10_000_000+i), q.Append(nil), &out)
		if i%1000 == 0 {
			f.Clock.Run(time.Millisecond)
		}
	}
	measure(1)
	during := victim.Stats()
	t.Logf("%d queries, %d answers; %d strangers wait for a ping, the heap grew by %d kB",
		queries, out.n, during.Verifying, (int64(heap[1])-int64(heap[0]))>>10)
	if during.Verifying > during.MaxVerifying || during.Endpoint.Pending > during.MaxVerifying {
		t.Errorf("%d strangers wait for a ping, %d queries for an answer", during.Verifying, during.Endpoint.Pending)
	}
	if grown := int64(heap[1]) - int64(heap[0]); grown > 1<<20 && !raceEnabled {
		t.Errorf("the heap grew by %d kB", grown>>10)
	}
	if hashes := f.services[victim.Node].peers.Stats().Hashes; hashes > 0 {
		t.Errorf("%d info-hashes are stored", hashes)
	}
	f.Clock.Run(30 * time.Minute)
	after := victim.Stats()
	if after.Nodes() < before.Nodes() || after.Verifying > 0 {
		t.Errorf("%d contacts, %d before; %d strangers wait", after.Nodes(), before.Nodes(), after.Verifying)
	}
}

// counter is a krpc.Outbox that counts.
type counter struct {
	b []byte
	n int
}

func (c *counter) Buffer() []byte              { return c.b[:0] }
func (c *counter) Push(netip.AddrPort, []byte) { c.n++ }
