package kademlia

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// epoch is when the scenarios begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// addrIn returns an address in the i-th /24.
func addrIn(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(11 + i>>16), byte(i >> 8), byte(i), 1}), 6881)
}

// strangers makes n nodes in bucket i of a table, each in a network of its own.
func strangers(t *table, i, n int, rng *rand.Rand) []krpc.NodeInfo {
	out := make([]krpc.NodeInfo, n)
	for j := range out {
		out[j] = krpc.NodeInfo{ID: idInBucket(t.self, i, rng), Addr: addrIn(i<<12 | j)}
	}
	return out
}

func newTestTable(k int) (*table, *rand.Rand) {
	rng := testRand(1)
	return &table{self: krpc.RandomID(rng), k: k, start: epoch}, rng
}

func live(t *table, id krpc.ID) bool {
	i := t.self.CommonPrefixLen(id)
	return i < len(t.buckets) && indexID(t.buckets[i].live, id) >= 0
}

func TestBucketsAreWideAtTheTop(t *testing.T) {
	for _, k := range []int{8, 20} {
		table, rng := newTestTable(k)
		for i, want := range []int{128, 64, 32, max(16, k), k, k} {
			for _, n := range strangers(table, i, 200, rng) {
				table.responded(n, 0, epoch)
			}
			if got := len(table.buckets[i].live); got != want {
				t.Errorf("k %d, bucket %d holds %d, want %d", k, i, got, want)
			}
			if got := len(table.buckets[i].spares); got != maxSpares {
				t.Errorf("k %d, bucket %d has %d spares, want %d", k, i, got, maxSpares)
			}
		}
	}
}

func TestOldLiveContactsStay(t *testing.T) {
	table, rng := newTestTable(8)
	nodes := strangers(table, 5, 100, rng)
	for i, n := range nodes {
		table.responded(n, 0, epoch.Add(time.Duration(i)*time.Second))
	}
	for _, n := range nodes[:8] {
		if !live(table, n.ID) {
			t.Error("an old contact was evicted for a new one")
		}
	}
}

// In a wide bucket the younger half gives way to who is twice as quick, and is remembered.
func TestWideBucketsPreferTheQuick(t *testing.T) {
	table, rng := newTestTable(8)
	table.memory = newMemory(100)
	nodes := strangers(table, 2, 32+2+16, rng)
	for i, n := range nodes[:32] {
		table.responded(n, time.Duration(1000-i)*time.Millisecond, epoch)
	}
	if table.responded(nodes[32], 500*time.Millisecond, epoch) {
		t.Error("taken in for a small gain")
	}
	if !table.responded(nodes[33], 100*time.Millisecond, epoch) || live(table, nodes[16].ID) {
		t.Error("the slowest of the younger has not given way")
	}
	for _, n := range []krpc.NodeInfo{nodes[16], nodes[32]} {
		if !remembers(&table.memory, n, 0) {
			t.Errorf("%v is forgotten", n)
		}
	}
	for _, n := range nodes[34:] {
		table.responded(n, time.Millisecond, epoch)
	}
	for _, n := range nodes[:16] {
		if !live(table, n.ID) {
			t.Error("quick ones push out the older half")
		}
	}
	if live(table, nodes[30].ID) || !live(table, nodes[49].ID) {
		t.Error("the quick have not all been taken in")
	}
	narrow := strangers(table, 5, 9, rng)
	for i, n := range narrow {
		table.responded(n, time.Second>>i, epoch)
	}
	if !live(table, narrow[0].ID) || live(table, narrow[8].ID) {
		t.Error("a bucket of k prefers the quick")
	}
}

// Who has no place in a bucket is remembered beside it, and forgotten like contacts.
func TestTableRemembersWhomItHasNoPlaceFor(t *testing.T) {
	table, rng := newTestTable(8)
	table.memory = newMemory(1000)
	nodes := strangers(table, 5, 24, rng)
	for _, n := range nodes {
		table.responded(n, time.Second, epoch)
	}
	if table.memory.count != 16 {
		t.Fatalf("%d are remembered, want 16", table.memory.count)
	}
	table.failed(nodes[20], epoch)
	table.disowned(nodes[21])
	table.answered(nodes[22], epoch)
	table.removeIf(func(a netip.Addr) bool { return a == nodes[23].Addr.Addr() })
	for i, n := range nodes[8:] {
		if gone := i >= 12 && i < 16; remembers(&table.memory, n, 0) == gone {
			t.Errorf("node %d: gone %t, want %t", i+8, !gone, gone)
		}
	}
	table.rebase(krpc.RandomID(rng), epoch)
	size := table.size() + table.memory.count
	for _, n := range nodes[:8] {
		if !live(table, n.ID) && !remembers(&table.memory, n, 0) {
			t.Errorf("%v is forgotten with the old id", n)
		}
	}
	for _, n := range nodes {
		table.responded(n, time.Second, epoch) // whoever has found a place is not remembered
	}
	if got := table.size() + table.memory.count; got > size+4 {
		t.Errorf("%d contacts and remembered ones, want up to %d", got, size+4)
	}
}

// Whoever gets a place in the table is remembered no longer, or lookups would start from it
// twice.
func TestWhoFindsAPlaceLaterIsNotRemembered(t *testing.T) {
	table, rng := newTestTable(8)
	table.memory = newMemory(1000)
	for i := range 8 {
		for _, n := range strangers(table, i, 200, rng) {
			table.responded(n, 100*time.Millisecond, epoch)
		}
	}
	check := func(when string) {
		t.Helper()
		for i := range table.buckets {
			for _, c := range table.buckets[i].live {
				if remembers(&table.memory, c.info(), 0) {
					t.Fatalf("%s: a contact of bucket %d is in the memory, too", when, i)
				}
			}
		}
	}
	check("at first")
	for i := range table.buckets {
		table.failed(table.buckets[i].live[0].info(), epoch)
	}
	check("promoted from the spares")
	table.rebase(krpc.RandomID(rng), epoch)
	check("around another id")
}

func TestReplacementTakesTheFirstFailure(t *testing.T) {
	table, rng := newTestTable(8)
	nodes := strangers(table, 5, 9, rng)
	for _, n := range nodes {
		table.responded(n, 0, epoch)
	}
	table.failed(nodes[3], epoch)
	if live(table, nodes[3].ID) || !live(table, nodes[8].ID) {
		t.Error("the spare has not taken the place of the failed contact")
	}
	for range maxFails - 1 {
		table.failed(nodes[4], epoch)
		if !live(table, nodes[4].ID) {
			t.Fatal("a contact without replacement went before its time")
		}
	}
	table.failed(nodes[4], epoch)
	if live(table, nodes[4].ID) {
		t.Errorf("a contact stays after %d failures", maxFails)
	}
}

func TestReplyForgivesFailures(t *testing.T) {
	table, rng := newTestTable(8)
	n := strangers(table, 5, 1, rng)[0]
	table.responded(n, 0, epoch)
	for range 5 {
		table.failed(n, epoch)
		table.responded(n, 0, epoch)
	}
	if !live(table, n.ID) {
		t.Error("a contact that answers every second query was removed")
	}
}

func TestReplacementPrefersValidIDs(t *testing.T) {
	table, rng := newTestTable(1)
	// Nodes of one bucket with ids that BEP 42 allows.
	var valid []krpc.NodeInfo
	for i := 0; len(valid) < 1; i++ {
		n := krpc.NodeInfo{Addr: addrIn(i)}
		n.ID = SecureID(n.Addr.Addr(), rng)
		if table.self.CommonPrefixLen(n.ID) == 8 {
			valid = append(valid, n)
		}
	}
	plain := strangers(table, 8, 4, rng)
	table.responded(plain[0], 0, epoch)
	table.responded(valid[0], 0, epoch)
	table.responded(plain[1], 0, epoch)
	table.failed(plain[0], epoch)
	if !live(table, valid[0].ID) {
		t.Error("the spare with a valid id was passed over")
	}
}

func TestOneContactForEachNetwork(t *testing.T) {
	table, rng := newTestTable(8)
	id := func(i int) krpc.ID { return idInBucket(table.self, i, rng) }
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, tt := range []struct {
		name string
		node krpc.NodeInfo
		want bool
	}{
		{"first", krpc.NodeInfo{ID: id(5), Addr: at("11.0.0.1:1")}, true},
		{"same network, same bucket", krpc.NodeInfo{ID: id(5), Addr: at("11.0.0.2:1")}, false},
		{"same network, other bucket", krpc.NodeInfo{ID: id(6), Addr: at("11.0.0.3:1")}, false},
		{"other network", krpc.NodeInfo{ID: id(6), Addr: at("11.0.1.1:1")}, true},
		{"same address, other bucket", krpc.NodeInfo{ID: id(7), Addr: at("11.0.0.1:2")}, false},
		{"IPv6", krpc.NodeInfo{ID: id(5), Addr: at("[2a00:1::1]:1")}, true},
		{"same /64", krpc.NodeInfo{ID: id(5), Addr: at("[2a00:1::2]:1")}, false},
		{"same site", krpc.NodeInfo{ID: id(5), Addr: at("[2a00:1:0:1::2]:1")}, false},
		{"other site", krpc.NodeInfo{ID: id(5), Addr: at("[2a00:1:1::2]:1")}, true},
		{"loopback", krpc.NodeInfo{ID: id(5), Addr: at("127.0.0.1:1")}, true},
		{"loopback, other port", krpc.NodeInfo{ID: id(5), Addr: at("127.0.0.1:2")}, true},
		{"private, same network", krpc.NodeInfo{ID: id(5), Addr: at("10.0.0.1:1")}, true},
		{"private, same network", krpc.NodeInfo{ID: id(5), Addr: at("10.0.0.2:1")}, true},
	} {
		table.responded(tt.node, 0, epoch)
		if got := live(table, tt.node.ID); got != tt.want {
			t.Errorf("%s: in the table %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestNodeThatChangesItsID(t *testing.T) {
	table, rng := newTestTable(8)
	before := strangers(table, 5, 1, rng)[0]
	after := krpc.NodeInfo{ID: idInBucket(table.self, 3, rng), Addr: before.Addr}
	table.responded(before, 0, epoch)
	table.responded(after, 0, epoch)
	if live(table, before.ID) || !live(table, after.ID) {
		t.Error("the old id was not replaced by the new one")
	}
}

func TestIDOfALiveContactCannotBeTaken(t *testing.T) {
	table, rng := newTestTable(8)
	n := strangers(table, 5, 1, rng)[0]
	table.responded(n, 0, epoch)
	thief := krpc.NodeInfo{ID: n.ID, Addr: addrIn(99)}
	table.responded(thief, 0, epoch)
	if c := &table.buckets[5].live[0]; !c.at(n.Addr) {
		t.Error("another address took over the id of a live contact")
	}
	table.failed(n, epoch)
	table.responded(thief, 0, epoch)
	if c := &table.buckets[5].live[0]; !c.at(thief.Addr) {
		t.Error("a node that moved to another address is not let in")
	}
}

func TestQueryAloneLetsNobodyIn(t *testing.T) {
	table, rng := newTestTable(8)
	nodes := strangers(table, 5, 9, rng)
	if !table.queried(nodes[0], epoch) || table.size() != 0 {
		t.Error("a stranger is welcome, but not in the table")
	}
	for _, n := range nodes[:8] {
		table.responded(n, 0, epoch)
	}
	if table.queried(nodes[8], epoch) {
		t.Error("welcome to a full bucket")
	}
}

func TestQuestionableContactsArePinged(t *testing.T) {
	table, rng := newTestTable(8)
	nodes := strangers(table, 5, 3, rng)
	for i, n := range nodes {
		table.responded(n, 0, epoch.Add(time.Duration(i)*time.Minute))
	}
	due, next := table.pings(epoch.Add(questionableAge-time.Second), 9)
	if len(due) != 0 || !next.Equal(epoch.Add(questionableAge)) {
		t.Fatalf("%d due, next at %v", len(due), next)
	}
	now := epoch.Add(questionableAge)
	if due, _ = table.pings(now, 9); !slices.Equal(due, nodes[:1]) {
		t.Fatalf("due: %v", due)
	}
	table.pinged(nodes[0].ID, now)
	if due, _ = table.pings(now.Add(time.Second), 9); len(due) != 0 {
		t.Error("due again before it could answer")
	}
	table.queried(nodes[1], now) // BEP 5: a query of a contact is a sign of life
	if due, _ = table.pings(now.Add(2*time.Minute), 9); slices.Contains(due, nodes[1]) {
		t.Error("a contact that has just asked us is pinged")
	}
}

func TestIdleBucketsAreRefreshed(t *testing.T) {
	table, rng := newTestTable(1)
	for i := range 3 {
		table.responded(strangers(table, i, 1, rng)[0], 0, epoch)
	}
	for i := range 3 {
		table.lookedUp(idInBucket(table.self, i, rng), epoch, rng)
	}
	if idle := table.idle(epoch.Add(refreshAge/2-1), 3, rng); len(idle) != 0 {
		t.Fatalf("idle too early: %v", idle)
	}
	table.lookedUp(idInBucket(table.self, 1, rng), epoch.Add(refreshAge-1), rng)
	var got []int
	for _, id := range table.idle(epoch.Add(refreshAge), 3, rng) {
		got = append(got, table.self.CommonPrefixLen(id))
	}
	slices.Sort(got) // they were not idle for as long
	if !slices.Equal(got, []int{0, 2}) {
		t.Errorf("buckets to refresh: %v, want 0 and 2", got)
	}
}

// An id next to ours costs nobody 160 lookups.
func TestOneCloseContactDoesNotDeepenTheTable(t *testing.T) {
	table, rng := newTestTable(8)
	for i := range 6 {
		for _, n := range strangers(table, i, 8, rng) {
			table.responded(n, 0, epoch)
		}
	}
	table.responded(strangers(table, 159, 1, rng)[0], 0, epoch)
	if got := table.depth(); got != 6 {
		t.Errorf("depth %d, want 6", got)
	}
}

func TestSparesAreDiverse(t *testing.T) {
	table, rng := newTestTable(8)
	nodes := strangers(table, 5, 16, rng)
	for _, n := range nodes {
		table.responded(n, 0, epoch)
	}
	for range 20 {
		table.responded(krpc.NodeInfo{ID: idInBucket(table.self, 5, rng), Addr: addrIn(7777)}, 0, epoch)
	}
	from := 0
	for _, c := range table.buckets[5].spares {
		if c.addr() == addrIn(7777).Addr() {
			from++
		}
	}
	if from != 1 {
		t.Errorf("%d of %d spares are at one address", from, maxSpares)
	}
}

func TestRebaseKeepsContacts(t *testing.T) {
	table, rng := newTestTable(8)
	for i := range 10 {
		table.responded(strangers(table, i, 1, rng)[0], 0, epoch)
	}
	table.rebase(krpc.RandomID(rng), epoch)
	if table.size() != 10 {
		t.Errorf("%d contacts left of 10", table.size())
	}
	for i := range table.buckets {
		for _, c := range table.buckets[i].live {
			if table.self.CommonPrefixLen(c.id) != i {
				t.Error("a contact is in a wrong bucket")
			}
		}
	}
}

// No sequence of events breaks the bounds of the table.
func TestTableInvariants(t *testing.T) {
	table, rng := newTestTable(8)
	var pool []krpc.NodeInfo
	for i := range 12 {
		pool = append(pool, strangers(table, i, 60, rng)...)
	}
	now := epoch
	for range 30_000 {
		now = now.Add(time.Second)
		n := pool[rng.IntN(len(pool))]
		if rng.IntN(20) == 0 {
			n.Addr = pool[rng.IntN(len(pool))].Addr
		}
		switch rng.IntN(4) {
		case 0, 1:
			table.responded(n, 0, now)
		case 2:
			table.failed(n, now)
		case 3:
			table.queried(n, now)
		}
		switch rng.IntN(1000) {
		case 0:
			table.removeIf(func(netip.Addr) bool { return rng.IntN(50) == 0 })
		case 1:
			table.rebase(krpc.RandomID(rng), now)
		}
	}
	var want networks
	seen := make(map[netip.Addr]bool)
	for i := range table.buckets {
		b := &table.buckets[i]
		if len(b.live) > table.capacity(i) || len(b.spares) > maxSpares {
			t.Errorf("bucket %d: %d contacts, %d spares", i, len(b.live), len(b.spares))
		}
		for _, c := range b.live {
			if table.self.CommonPrefixLen(c.id) != i || seen[c.addr()] {
				t.Errorf("bucket %d: %v is out of place", i, c.info())
			}
			seen[c.addr()] = true
			want.add(&c)
		}
	}
	got := table.networks
	slices.Sort(want.digests)
	slices.Sort(got.digests)
	if !slices.Equal(got.digests, want.digests) || got.bound != want.bound {
		t.Errorf("%d networks, %d ids bound, want %d and %d", len(got.digests), got.bound, len(want.digests), want.bound)
	}
}

// Two networks of IPv6 may have one digest: both have their contacts.
func TestNetworksWithOneDigest(t *testing.T) {
	table, _ := newTestTable(8)
	a := netip.MustParseAddr("2001:db8:1::1").As16()
	b := a // with another third word, and the first two so that the digest is the same
	binary.BigEndian.PutUint16(b[4:], 0)
	binary.BigEndian.PutUint32(b[:], digest(networkIn(a)))
	if digest(networkIn(a)) != digest(networkIn(b)) {
		t.Fatal("they have two")
	}
	c := newContact(krpc.NodeInfo{ID: krpc.ID{1}, Addr: netip.AddrPortFrom(netip.AddrFrom16(a), 1)}, 0, 0)
	i, bucket := table.bucketOf(c.id, epoch)
	bucket.push(c, table.capacity(i))
	table.networks.add(&c)
	if !table.has(networkIn(a)) || table.has(networkIn(b)) {
		t.Error("one is taken for the other")
	}
}
