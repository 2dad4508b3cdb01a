package store

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// roomFor is the memory of so many items of keeper.sharing.
func roomFor(items int) int64 {
	it := ofSize(500, 0)
	return int64(items * cost(&it))
}

// ttl returns an edit of a put by one who is not the publisher.
func ttl(left time.Duration) func(*krpc.Message) {
	return func(q *krpc.Message) { q.HasTTL, q.TTL = true, int64(left/time.Second) }
}

func (k *keeper) wantTTL(it Item, want time.Duration) {
	k.t.Helper()
	if got := time.Duration(k.get(it.Target()).TTL) * time.Second; got != want {
		k.t.Errorf("%v is left, want %v", got, want)
	}
}

func TestItemsExpireAfterTwoHours(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	a, b := immutable(1), mutable(t, "", 7, "i1e")
	k.mustPut(a, b)
	k.run(Life - time.Second)
	k.wantHeld(true, a, b)
	k.wantTTL(a, time.Second)
	k.run(time.Second)
	k.wantHeld(false, a, b)
	k.run(2 * sweepRest)
	if st := k.Stats(); st.Immutable+st.Mutable != 0 || st.Bytes != 0 || st.Expired != 2 {
		t.Errorf("stats %+v", st)
	}
	if k.shelf.entries != nil || k.shelf.charges != nil || k.shelf.rows != nil {
		t.Error("the empty maps were kept")
	}
	// With the old version its seq is forgotten too.
	k.mustPut(mutable(t, "", 1, "i1e"))
}

func TestExpiredItemIsPutAnew(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	k.Close() // nothing sweeps
	k.mustPutFrom(simnet.Addr(7), mutable(t, "", 7, "i1e"))
	k.run(Life)
	k.mustPut(mutable(t, "", 1, "i1e"))
	k.wantTTL(mutable(t, "", 1, "i1e"), Life)
	if st := k.Stats(); st.Expired != 1 || st.PutsStored != 2 || st.Mutable != 1 {
		t.Errorf("stats %+v", st)
	}
	k.checkBooks()
}

func TestPutsRefresh(t *testing.T) {
	for name, it := range map[string]Item{"immutable": immutable(1), "mutable": mutable(t, "salt", 7, "i1e")} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t, 1, Config{})
			for range 3 {
				k.mustPut(it)
				k.run(Life - time.Minute)
			}
			k.wantTTL(it, time.Minute)
			if st := k.Stats(); st.PutsStored != 1 || st.PutsRefreshed != 2 {
				t.Errorf("stats %+v", st)
			}
			k.checkBooks()
		})
	}
}

// A put with a ttl is of one who only hands the item on: it prolongs its life to what
// it says, two hours at most, and never shortens it.
func TestPutsWithTTL(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	it, gone := immutable(1), immutable(2)
	wantDone(t, k.putWith(it, ttl(10*time.Minute)))
	k.wantTTL(it, 10*time.Minute)
	k.run(5 * time.Minute)
	wantDone(t, k.putWith(it, ttl(time.Minute)))
	k.wantTTL(it, 5*time.Minute)
	wantDone(t, k.putWith(it, ttl(-time.Minute)))
	k.wantTTL(it, 5*time.Minute)
	wantDone(t, k.putWith(it, ttl(20*time.Minute)))
	k.wantTTL(it, 20*time.Minute)
	wantDone(t, k.putWith(it, func(q *krpc.Message) { q.HasTTL, q.TTL = true, 1<<62 }))
	k.wantTTL(it, Life)
	for _, left := range []time.Duration{0, -time.Second, -1 << 62} {
		wantDone(t, k.putWith(gone, ttl(left)))
		k.wantHeld(false, gone)
	}
	// What has nothing left to live replaces nothing either.
	k.mustPut(mutable(t, "", 1, "i1e"))
	wantDone(t, k.putWith(mutable(t, "", 2, "i2e"), ttl(0)))
	k.wantHeld(true, mutable(t, "", 1, "i1e"))
	if st := k.Stats(); st.PutsIgnored != 5 {
		t.Errorf("stats %+v", st)
	}
	k.checkBooks()
}

func TestUpdateWithTTLKeepsTheLongerLife(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	next := mutable(t, "", 2, "i2e")
	k.mustPut(mutable(t, "", 1, "i1e"))
	wantDone(t, k.putWith(next, ttl(time.Minute)))
	k.wantHeld(true, next)
	k.wantTTL(next, Life)
}

// Of a full shelf the farthest items give way to nearer ones, those not put for the
// longest time first.
func TestFarthestGivesWay(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxBytes: roomFor(4)})
	far, nearer, near := k.sharing(0, 3), k.sharing(1, 2), k.sharing(2, 4)
	k.mustPut(far[0], far[1], nearer[0], nearer[1])
	k.run(time.Minute)
	k.mustPut(far[0]) // so that far[1] is the oldest
	wantError(t, k.putWith(far[2], nil), 202, "store is full")
	k.mustPut(near[0])
	k.wantHeld(false, far[1])
	k.mustPut(near[1])
	k.wantHeld(false, far[0])
	k.mustPut(near[2])
	k.wantHeld(false, nearer[0])
	wantError(t, k.putWith(nearer[0], nil), 202, "store is full") // as far as the farthest
	wantError(t, k.putWith(far[0], nil), 202, "store is full")
	k.wantHeld(true, nearer[1], near[0], near[1], near[2])
	k.mustPut(near[3])
	wantError(t, k.putWith(nearer[1], nil), 202, "store is full")
	k.mustPut(near[0]) // there is always room to refresh
	if st := k.Stats(); st.Evicted != 4 || st.PutsRefused[RefusedFull] != 4 || st.Bytes > st.MaxBytes {
		t.Errorf("stats %+v", st)
	}
	k.checkBooks()
}

func TestBadSignatureEvictsNothing(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxBytes: roomFor(1)})
	far := k.sharing(0, 1)[0]
	k.mustPut(far)
	near := mutable(t, "", 1, "i1e")
	for salt := 'a'; k.node.ID().CommonPrefixLen(near.Target()) == 0; salt++ {
		near = mutable(t, string(salt), 1, "i1e")
	}
	forged := near
	forged.Sig = make([]byte, 64)
	wantError(t, k.putWith(forged, nil), 206, "")
	k.wantHeld(true, far)
	k.mustPut(near)
	k.wantHeld(false, far)
}

func TestUpdateThatDoesNotFit(t *testing.T) {
	small, large := mutable(t, "", 1, "i1e"), mutable(t, "", 2, string(ofSize(MaxValue, 1).V))
	k := newKeeper(t, 1, Config{MaxBytes: int64(cost(&small))})
	k.mustPut(small)
	wantError(t, k.putWith(large, nil), 202, "store is full")
	k.wantHeld(true, small)
	k.mustPut(mutable(t, "", 2, "i2e"))
	k.checkBooks()
}

func TestExpiredItemsMakeRoom(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxBytes: roomFor(1)})
	k.Close() // nothing sweeps
	far := k.sharing(0, 2)
	k.mustPut(far[0])
	k.run(Life)
	k.mustPut(far[1])
	if st := k.Stats(); st.Expired != 1 || st.Evicted != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestNothingIsKeptWithoutMemory(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxBytes: 1})
	wantError(t, k.putWith(immutable(1), nil), 202, "store is full")
	k.wantHeld(false, immutable(1))
}

func TestAddressesAndSubnetsHaveTheirShare(t *testing.T) {
	for name, c := range map[string]struct{ ip, sameSubnet, other string }{
		"IPv4": {"90.1.2.3", "90.1.2.4", "90.1.3.3"},
		"IPv6": {"2a01:1:2:3::1", "2a01:1:2:3:4::1", "2a01:1:2:4::1"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeperIn(t, sim.Config{Nodes: 1, Seed: 1, IPv6: name == "IPv6"}, Config{MaxPerIP: 2, MaxPerSubnet: 3})
			at := func(ip string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(ip), 50000) }
			put := func(ip string, n int) *krpc.Message { return k.ask(at(ip), k.putQuery(at(ip), immutable(n))) }
			wantDone(t, put(c.ip, 1))
			wantDone(t, put(c.ip, 2))
			wantError(t, put(c.ip, 3), 202, "of your address")
			wantDone(t, put(c.ip, 1)) // no more of them
			wantDone(t, put(c.sameSubnet, 3))
			wantError(t, put(c.sameSubnet, 4), 202, "of your subnet")
			wantDone(t, put(c.other, 4))
			wantDone(t, put(c.ip, 4)) // charged to who was first
			k.checkBooks()
			st := k.Stats()
			if st.PutsRefused[RefusedIPFull] != 1 || st.PutsRefused[RefusedSubnetFull] != 1 {
				t.Errorf("stats %+v", st)
			}
			k.run(Life + 2*sweepRest)
			wantDone(t, put(c.ip, 3))
			k.checkBooks()
		})
	}
}

// In a private network all are in one subnet, and on a test network at one address.
func TestLocalAddressesAreFree(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxPerIP: 1, MaxPerSubnet: 1})
	s, now := k.shelf, k.world.Clock.Now()
	for n := range 5 {
		it := immutable(n)
		o := &offer{item: it, target: it.Target(), life: Life, self: k.node.ID(), now: now}
		if what, err := s.take(*o, it.clone()); what != stored || err != nil {
			t.Errorf("item %d: %v, %v", n, what, err)
		}
	}
	k.checkBooks()
}

func TestNewIDRearrangesTheShelf(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxBytes: roomFor(3)})
	far, near := k.sharing(0, 2), k.sharing(1, 2)
	k.mustPut(far[0], near[0])
	k.run(time.Second)
	k.mustPut(far[1])
	// For the opposite id what was far is near.
	id := k.node.ID()
	for i := range id {
		id[i] ^= 0xff
	}
	s, it := k.shelf, near[1]
	o := &offer{item: it, target: it.Target(), life: Life, self: id, now: k.world.Clock.Now()}
	if _, err := s.take(*o, nil); err != errFull {
		t.Errorf("as far as the farthest: %v", err)
	}
	k.checkBooks()
	for i := 1000; id.CommonPrefixLen(it.Target()) == 0; i++ {
		it = ofSize(500, i)
	}
	if o.item, o.target = it, it.Target(); id.CommonPrefixLen(far[0].Target()) < 1 {
		t.Fatal("not far from the opposite id")
	}
	if what, err := s.take(*o, it.clone()); what != stored || err != nil {
		t.Errorf("%v, %v", what, err)
	}
	k.checkBooks()
	if _, _, ok := s.get(near[0].Target(), o.now); ok {
		t.Error("the farthest was kept")
	}
}

func TestItemsComeDueForRepublishing(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	s := k.shelf
	now := k.world.Clock.Now()
	if _, next, ok := s.takeDue(now); ok || !next.IsZero() {
		t.Error("an empty shelf has something due")
	}
	items := []Item{immutable(1), immutable(2), immutable(3)}
	k.mustPut(items...)
	_, next, ok := s.takeDue(now)
	if wait := next.Sub(now); ok || wait < republishMin || wait >= republishMin+republishSpread {
		t.Errorf("due in %v, %v", wait, ok)
	}
	first, _, ok := s.takeDue(next)
	if !ok {
		t.Fatal("not due when it is due")
	}
	_, _, ok = s.takeDue(next)
	if ok {
		t.Error("what was taken is due again")
	}
	// Whoever puts it spares us the work.
	k.world.Clock.Run(20 * time.Minute)
	now = k.world.Clock.Now()
	for _, it := range items {
		wantDone(t, k.putWith(it, ttl(2*time.Hour)))
	}
	if _, next, _ := s.takeDue(now.Add(republishMin - 1)); next.Sub(now) < republishMin {
		t.Error("a put did not reset what was due")
	}
	for _, it := range items {
		s.putOff(it.Target(), now.Add(Life))
	}
	if target, _, ok := s.takeDue(now.Add(republishMin + republishSpread)); ok {
		t.Errorf("%v is due, though it was put off (first was %v)", target, first)
	}
	if _, _, ok := s.takeDue(now.Add(Life)); ok || s.entries != nil {
		t.Error("expired items are due")
	}
}

func TestItemsNearANewcomer(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	for prefix := range 3 {
		k.mustPut(k.sharing(prefix, prefix+1)...)
	}
	for prefix, want := range []int{6, 5, 3, 0} {
		got := k.shelf.within(prefix)
		if len(got) != want {
			t.Errorf("%d items share %d bits, want %d", len(got), prefix, want)
		}
		for _, target := range got {
			if k.node.ID().CommonPrefixLen(target) < prefix {
				t.Errorf("%v does not share %d bits", target, prefix)
			}
		}
	}
}

func TestStartAndCloseTwice(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	started := k.world.Clock.Pending()
	k.Start()
	if k.world.Clock.Pending() != started {
		t.Error("a second timer")
	}
	k.Close()
	closed := k.world.Clock.Pending()
	if closed >= started {
		t.Error("the timers go on")
	}
	k.Close()
	k.Start()
	if k.world.Clock.Pending() != closed {
		t.Error("started after its end")
	}
	k.mustPut(immutable(1))
	k.wantHeld(true, immutable(1))
}
