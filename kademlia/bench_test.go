package kademlia

import (
	"net/netip"
	"testing"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// sink is a krpc.Outbox that forgets what is pushed.
type sink struct{ b [krpc.MaxDatagram]byte }

func (s *sink) Buffer() []byte              { return s.b[:0] }
func (s *sink) Push(netip.AddrPort, []byte) {}

// fullNode returns a node whose table has no room but for its neighbours.
func fullNode(b *testing.B) *Node {
	clock := simnet.NewClock(epoch)
	host := simnet.NewNetwork(clock, testRand(1), simnet.Link{}).Host(simnet.Addr(0), nil)
	n, err := NewNode(NodeConfig{Transport: host, Clock: clock, Rand: testRand(2)})
	if err != nil {
		b.Fatal(err)
	}
	n.mu.Lock()
	defer n.unlock()
	for i := range 20 {
		for _, s := range strangers(&n.table, i, 150, n.rng) {
			n.table.responded(s, 0, epoch)
		}
	}
	return n
}

// BenchmarkServe is what a query of a stranger costs beside the socket, and one of a
// contact, which the table takes note of.
func BenchmarkServe(b *testing.B) {
	n := fullNode(b)
	contact := n.table.buckets[0].live[64].info()
	stranger := krpc.NodeInfo{ID: idInBucket(n.ID(), 0, testRand(3)), Addr: addrIn(1 << 18)}
	for _, bench := range []struct {
		name string
		m    krpc.Method
		from krpc.NodeInfo
	}{
		{"ping", krpc.MethodPing, stranger},
		{"ping/contact", krpc.MethodPing, contact},
		{"find_node", krpc.MethodFindNode, stranger},
	} {
		rng, packets := testRand(4), make([][]byte, 1024)
		for i := range packets {
			packets[i] = []byte(packet(bench.m, func(q *krpc.Message) {
				q.ID = bench.from.ID
				q.HasTarget, q.Target = bench.m == krpc.MethodFindNode, krpc.RandomID(rng)
			}))
		}
		b.Run(bench.name, func(b *testing.B) {
			now, out, i := n.now(), new(sink), 0
			b.ReportAllocs()
			for b.Loop() {
				n.Deliver(now, bench.from.Addr, packets[i&1023], out)
				i++
			}
		})
	}
}

func BenchmarkToken(b *testing.B) {
	var k tokens
	k.restore(TokenState{}, epoch, testRand(1))
	addr, target := addrIn(1).Addr(), krpc.RandomID(testRand(2))
	token := k.issue(nil, addr, target)
	b.Run("issue", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.issue(token[:0], addr, target)
		}
	})
	b.Run("valid", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !k.valid(token, addr, target) {
				b.Fatal("refused")
			}
		}
	})
}
