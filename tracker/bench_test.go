package tracker

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

func filled(b *testing.B, hashes, peers int) *Swarms {
	s := newSwarms(SwarmsConfig{})
	for h := range hashes {
		for n := range peers {
			mustAnnounce(b, s, hashOf(h), publicPeer(h+n), n%3 == 0, start) // a network begins few swarms
		}
	}
	return s
}

var sizes = []int{1, 100, 2000}

func BenchmarkAnnounceRefresh(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, ih, i := filled(b, 1, n), hashOf(0), 0
			b.ReportAllocs()
			for b.Loop() {
				i += 7
				_ = s.Announce(ih, publicPeer(i%n), false, start)
			}
		})
	}
}

func BenchmarkAnnounceReplacing(b *testing.B) {
	s, ih, i := filled(b, 1, 2000), hashOf(0), 2000
	b.ReportAllocs()
	for b.Loop() {
		i++
		_ = s.Announce(ih, publicPeer(i), false, start)
	}
}

func BenchmarkFull(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, ih, a := filled(b, 1, n), hashOf(0), publicPeer(70_000).Addr()
			b.ReportAllocs()
			for b.Loop() {
				s.Full(ih, a, start)
			}
		})
	}
}

func BenchmarkSample(b *testing.B) {
	for _, n := range sizes {
		for _, noSeed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/noseed=%v", n, noSeed), func(b *testing.B) {
				s, ih := filled(b, 1, n), hashOf(0)
				dst := make([]byte, 0, krpc.MaxReply)
				o := SampleOptions{Max: 80, NoSeed: noSeed}
				b.ReportAllocs()
				for b.Loop() {
					s.Sample(dst, ih, o, start)
				}
			})
		}
	}
}

// BenchmarkParallel is a node's load: nine lookups to an announce, over many
// swarms.
func BenchmarkParallel(b *testing.B) {
	s := filled(b, 10_000, 20)
	b.ReportAllocs()
	b.ResetTimer()
	var workers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		dst := make([]byte, 0, krpc.MaxReply)
		for i := int(workers.Add(1)) * 1_000_003; pb.Next(); i += 7919 {
			ih, peer := hashOf(i%10_000), publicPeer(i%10_000+i%20)
			if i%10 == 0 {
				_ = s.Announce(ih, peer, false, start)
				continue
			}
			s.Sample(dst, ih, SampleOptions{Max: 80}, start)
			s.Full(ih, peer.Addr(), start)
		}
	})
}

func BenchmarkExpireCall(b *testing.B) {
	s, now := filled(b, 10_000, 20), start
	b.ReportAllocs()
	for b.Loop() {
		s.Expire(now)
		now = now.Add(time.Microsecond)
	}
}
