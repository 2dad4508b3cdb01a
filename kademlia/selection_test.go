package kademlia

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

// crowded fills a table so that some of its buckets have more contacts than others, some
// of which have failed, and some have ids that begin with the same 56 bits or more.
func crowded(seed uint64) (*table, *rand.Rand) {
	rng := testRand(seed)
	t := &table{self: krpc.RandomID(rng), k: 1 + rng.IntN(MaxK), start: epoch}
	failing := []int{0, 3, 30, 90}[rng.IntN(4)]
	for n := range rng.IntN(600) {
		id := idInBucket(t.self, rng.IntN(1+rng.IntN(24)), rng)
		switch rng.IntN(8) {
		case 0: // a twin of somebody
			if all := t.closestOfAll(id, 1); len(all) > 0 {
				id = all[0].ID
				id[8+rng.IntN(12)] ^= byte(1 + rng.IntN(255))
			}
		case 1: // a neighbour
			id = idInBucket(t.self, 50+rng.IntN(110), rng)
		}
		node := krpc.NodeInfo{ID: id, Addr: addrIn(n)}
		t.responded(node, 0, epoch)
		if rng.IntN(100) < failing {
			t.failed(node, epoch)
		}
		switch rng.IntN(60) {
		case 0:
			t.remove(t.closestOfAll(id, 1)[0].ID)
		case 1:
			gone := addrIn(rng.IntN(n + 1)).Addr()
			t.removeIf(func(a netip.Addr) bool { return a == gone })
		}
		if rng.IntN(3) == 0 {
			t.view()
		}
	}
	return t, rng
}

// The view finds what sorting all contacts that answer finds.
func TestClosestOfAnyTable(t *testing.T) {
	for seed := range uint64(300) {
		table, rng := crowded(seed)
		v := table.view()
		var all []krpc.NodeInfo
		for i := range table.buckets {
			for j := range table.buckets[i].live {
				if c := &table.buckets[i].live[j]; c.answers() {
					all = append(all, c.info())
				}
			}
		}
		for range 40 {
			target := krpc.RandomID(rng)
			switch rng.IntN(4) {
			case 0:
				target = idInBucket(table.self, rng.IntN(160), rng)
			case 1:
				target = table.self
			case 2:
				if len(all) > 0 {
					target = all[rng.IntN(len(all))].ID
				}
			}
			n := 1 + rng.IntN(MaxK)
			slices.SortFunc(all, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
			want := all[:min(n, len(all))]
			if got := v.infos(target, n); !slices.Equal(got, want) {
				t.Fatalf("seed %d, the %d closest to %v: got %v, want %v", seed, n, target, got, want)
			}
			var compact []byte
			for _, c := range want {
				compact = krpc.AppendNode(compact, c)
			}
			if got := v.appendClosest(nil, target, n); !slices.Equal(got, compact) {
				t.Fatalf("seed %d, the %d closest to %v: compact infos %x, want %x", seed, n, target, got, compact)
			}
		}
	}
}

func TestViewKnowsWhomItHas(t *testing.T) {
	for seed := range uint64(50) {
		table, rng := crowded(seed)
		v := table.view()
		for i := range table.buckets {
			b := &table.buckets[i]
			for j := range b.live {
				id := b.live[j].id
				if !v.buckets[i].has(&id, i) {
					t.Fatalf("seed %d: bucket %d has %v, the view does not", seed, i, id)
				}
				id[8+rng.IntN(12)] ^= byte(1 + rng.IntN(255))
				if got := v.buckets[i].has(&id, i); got != (indexID(b.live, id) >= 0) {
					t.Fatalf("seed %d: the view has %v in bucket %d: %v", seed, id, i, got)
				}
			}
		}
	}
}

// A bucket finds its contacts whether they were there at the last view or have come since.
func TestBucketFindsItsContacts(t *testing.T) {
	for seed := range uint64(50) {
		table, rng := crowded(seed)
		for i := range table.buckets {
			b := &table.buckets[i]
			b.keys = sortedKeys(nil, b.live[:rng.IntN(len(b.live)+1)])
			for j := range b.live {
				id := b.live[j].id
				if got := b.index(&id, i); got != j {
					t.Fatalf("seed %d: contact %d of bucket %d, of which %d have keys, is found at %d", seed, j, i, len(b.keys), got)
				}
				id[8+rng.IntN(12)] ^= byte(1 + rng.IntN(255))
				if got, want := b.index(&id, i), indexID(b.live, id); got != want {
					t.Fatalf("seed %d: %v is found at %d of bucket %d, want %d", seed, id, got, i, want)
				}
			}
		}
	}
}

// The compact form of a contact is that of its address.
func TestContactsAreWrittenAsTheirAddresses(t *testing.T) {
	for _, s := range []string{"1.2.3.4:5", "255.255.0.0:65535", "[2001:db8::1]:6881", "[::1]:1", "[::fffe:1.2.3.4]:9"} {
		n := krpc.NodeInfo{ID: krpc.RandomID(testRand(1)), Addr: netip.MustParseAddrPort(s)}
		c := newContact(n, 0, 0)
		if got, want := c.appendCompact(nil), krpc.AppendNode(nil, n); !slices.Equal(got, want) {
			t.Errorf("%s: %x, want %x", s, got, want)
		}
	}
}
