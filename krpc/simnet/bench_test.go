package simnet

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// BenchmarkClock runs events that schedule themselves again, with so many
// pending. One operation is one event.
func BenchmarkClock(b *testing.B) {
	for _, pending := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			c := NewClock(epoch)
			r := rand.New(rand.NewPCG(1, 0))
			for range pending {
				var t krpc.Timer
				t = c.AfterFunc(time.Duration(r.Int64N(int64(time.Minute))), func() {
					t.Reset(time.Duration(r.Int64N(int64(time.Minute))))
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				c.Step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkTimeout sets a timer and takes it back, as each answered query does.
func BenchmarkTimeout(b *testing.B) {
	c := NewClock(epoch)
	r := rand.New(rand.NewPCG(1, 0))
	for range 100_000 {
		c.AfterFunc(time.Duration(r.Int64N(int64(time.Minute))), func() {})
	}
	b.ReportAllocs()
	for b.Loop() {
		c.AfterFunc(10*time.Second, func() {}).Stop()
	}
}

// BenchmarkPackets passes one datagram per host around at random, half of them
// of a query's size and half of a reply's. One operation is one datagram sent
// and delivered.
func BenchmarkPackets(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			clock := NewClock(epoch)
			r := rand.New(rand.NewPCG(1, 0))
			network := NewNetwork(clock, r, Link{
				Latency: LognormalRTT(90*time.Millisecond, 350*time.Millisecond, 1), Reorder: 0.01,
			})
			addrs := make([]netip.AddrPort, n)
			for i := range addrs {
				addrs[i] = Addr(i)
			}
			payload := [2][]byte{make([]byte, 97), make([]byte, 316)}
			for i := range n {
				h := network.Host(addrs[i], func(_ time.Time, _ netip.AddrPort, p []byte, out krpc.Outbox) {
					next := payload[1-len(p)/200]
					binary.BigEndian.PutUint32(next, r.Uint32())
					out.Push(addrs[r.IntN(n)], append(out.Buffer(), next...))
				})
				if err := h.Send(addrs[i], payload[i%2]); err != nil {
					b.Fatal(err)
				}
			}
			clock.Run(time.Second) // fills the pool
			b.ReportAllocs()
			for b.Loop() {
				clock.Step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
