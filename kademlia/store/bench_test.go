package store

import "testing"

func BenchmarkServe(b *testing.B) {
	k := newKeeper(b, 30, Config{})
	for name, packet := range served(b, k) {
		b.Run(name, func(b *testing.B) {
			now, out := k.world.Clock.Now(), new(outbox)
			b.ReportAllocs()
			for b.Loop() {
				k.node.Deliver(now, stranger, packet, out)
			}
		})
	}
}

// BenchmarkPut stores immutable items until the shelf is full, and then goes on.
func BenchmarkPut(b *testing.B) {
	for name, c := range map[string]struct {
		bytes int64
		perIP int
	}{"fills": {1 << 40, 1 << 30}, "evicts": {1 << 20, 1 << 30}, "refused": {1 << 20, 1}} {
		b.Run(name, func(b *testing.B) {
			k := newKeeper(b, 1, Config{MaxBytes: c.bytes, MaxPerIP: c.perIP, MaxPerSubnet: 1 << 30})
			now, n := k.world.Clock.Now(), 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				it := immutable(n)
				o := &offer{item: it, target: it.Target(), life: Life, self: k.node.ID(), from: payer{stranger.Addr(), strangerShare}, now: now}
				if what, _ := k.shelf.take(*o, nil); what == unverified {
					k.shelf.take(*o, it.clone())
				}
			}
		})
	}
}
