package store

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// served are a get and a put of each kind, by name, of a keeper that they are to be
// delivered to.
func served(t testing.TB, k *keeper) map[string][]byte {
	held, next, none := mutable(t, "salt", 5, "4:held"), mutable(t, "salt", 6, "4:next"), immutable(2)
	large := Item{V: ofSize(MaxValue, 1).V}
	k.mustPut(held, immutable(1), large)
	get := func(target krpc.ID, seq int64) []byte {
		q := getQuery(target)
		q.HasSeq, q.Seq = seq > 0, seq
		return packetOf(q)
	}
	put := func(edit func(*krpc.Message)) []byte {
		q := k.putQuery(stranger, next)
		edit(&q)
		return packetOf(q)
	}
	return map[string][]byte{
		"get, hit":           get(held.Target(), 0),
		"get, hit, large":    get(large.Target(), 0),
		"get, not newer":     get(held.Target(), 5),
		"get, miss":          get(none.Target(), 0),
		"put, refresh":       packetOf(k.putQuery(stranger, held)),
		"put, 205":           put(func(q *krpc.Message) { q.V = ofSize(MaxValue+1, 1).V }),
		"put, 207":           put(func(q *krpc.Message) { q.Salt = make([]byte, 65) }),
		"put, 203":           put(func(q *krpc.Message) { q.V = []byte("d1:b0:1:a0:e") }),
		"put, 203 bad token": put(func(q *krpc.Message) { q.Token = []byte("12345678") }),
		"put, 206":           put(func(q *krpc.Message) { q.Sig = make([]byte, 64) }),
		"put, 301":           put(func(q *krpc.Message) { q.HasCas = true }),
		"put, 302":           put(func(q *krpc.Message) { q.Seq = 4 }),
		"put, ttl of 0":      put(func(q *krpc.Message) { q.HasTTL = true }),
	}
}

// TestServingAllocatesNothing holds for all but the memory of what is stored.
func TestServingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	k := newKeeper(t, 20, Config{})
	packets := served(t, k)
	now, out := k.world.Clock.Now(), new(outbox)
	for name, packet := range packets {
		want, at, step := 0., now, time.Duration(0)
		if name == "put, 206" {
			want = 1                // 16 bytes, by crypto/ed25519 after 50 microseconds of verifying
			step = 10 * time.Second // as often as the signatures of a forger are verified
		}
		if n := testing.AllocsPerRun(100, func() { k.node.Deliver(at, stranger, packet, out); at = at.Add(step) }); n != want {
			t.Errorf("%s: %v allocations, want %v", name, n, want)
		}
		if len(out.sent) == 0 {
			t.Errorf("%s: not answered", name)
		}
		out.sent = nil
	}
}

func TestRefusingWhatIsFullAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	k := newKeeper(t, 20, Config{MaxBytes: 1})
	packet := packetOf(k.putQuery(stranger, mutable(t, "", 1, "le")))
	now, out := k.world.Clock.Now(), new(outbox)
	if n := testing.AllocsPerRun(100, func() { k.node.Deliver(now, stranger, packet, out) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
