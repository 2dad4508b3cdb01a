package kademlia

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// known makes a contact with a random id in the i-th network.
func known(i int) krpc.NodeInfo {
	return krpc.NodeInfo{ID: krpc.RandomID(testRand(uint64(i) + 1000)), Addr: addrIn(i)}
}

// atMinute is a time since the table was made.
func atMinute(m int) instant { return instant(m) * instant(time.Minute) }

func remembers(m *memory, n krpc.NodeInfo, now instant) bool {
	got := m.closest(n.ID, 1, now)
	return len(got) == 1 && got[0].info() == n
}

func TestMemoryRemembersWhoAnswered(t *testing.T) {
	m := newMemory(1000)
	n := known(1)
	m.add(n, 120, atMinute(5))
	if got := m.closest(krpc.ID{}, 5, atMinute(10)); len(got) != 1 || got[0].info() != n || got[0].rtt != 120 {
		t.Fatalf("remembers %v, want %v", got, n)
	}
	m.add(n, 80, atMinute(50))
	if got := m.closest(krpc.ID{}, 5, atMinute(100)); len(got) != 1 || got[0].rtt != 80 || m.count != 1 {
		t.Errorf("after a second answer: %v, count %d", got, m.count)
	}
	if remembers(&m, n, atMinute(50+60)) {
		t.Error("who was silent for an hour is remembered")
	}
	m.remove(krpc.NodeInfo{ID: n.ID, Addr: addrIn(2)})
	if !remembers(&m, n, atMinute(51)) {
		t.Error("forgotten for what somebody at another address did")
	}
	m.remove(n)
	if remembers(&m, n, atMinute(51)) || m.count != 0 {
		t.Error("not forgotten")
	}
}

func TestNodeWithoutMemory(t *testing.T) {
	for _, m := range []memory{{}, newMemory(0), newMemory(-1)} {
		m.add(known(1), 1, 0)
		m.remove(known(1))
		m.removeIf(func(*remembered) bool { return true })
		if got := m.closest(krpc.ID{}, 8, 0); len(got) != 0 || m.limit() != 0 {
			t.Errorf("remembers %v", got)
		}
	}
}

// Who is remembered, and has answered lately, keeps its place.
func TestMemoryHoldsOneOfANetwork(t *testing.T) {
	first, second := known(1), known(2)
	second.Addr = netip.AddrPortFrom(first.Addr.Addr().Next(), 1)
	thief := krpc.NodeInfo{ID: first.ID, Addr: addrIn(3)}
	for _, late := range []krpc.NodeInfo{second, thief} {
		m := newMemory(memoryWays)
		m.add(first, 1, 0)
		m.add(late, 1, atMinute(1))
		if m.count != 1 || !remembers(&m, first, atMinute(1)) {
			t.Errorf("%v pushed out %v", late, first)
		}
		m.add(late, 1, atMinute(60))
		if m.count != 1 || !remembers(&m, late, atMinute(60)) {
			t.Errorf("%v waits for %v for ever", late, first)
		}
	}
	m := newMemory(memoryWays)
	m.add(first, 1, 0)
	renamed := krpc.NodeInfo{ID: second.ID, Addr: first.Addr}
	m.add(renamed, 1, 0)
	if m.count != 1 || !remembers(&m, renamed, 0) {
		t.Error("a node that has changed its id is remembered by the old one")
	}
	for port := range uint16(4) {
		m.add(krpc.NodeInfo{ID: known(int(10 + port)).ID, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1+port)}, 1, 0)
	}
	if m.count != 5 {
		t.Errorf("%d contacts, want 5: local ones may share an address", m.count)
	}
}

// Whatever ids it answers with, a host is near to one target only.
func TestHostThatChangesItsIDIsRememberedOnce(t *testing.T) {
	m := newMemory(1000)
	for i := range 500 {
		m.add(known(i), 1, 0)
	}
	host := known(1000)
	for i := range 1000 {
		host.ID = known(2000 + i).ID
		m.add(host, 1, 0)
		m.add(krpc.NodeInfo{ID: known(5000 + i).ID, Addr: netip.AddrPortFrom(host.Addr.Addr(), uint16(i+1))}, 1, 0)
	}
	places := 0
	for _, r := range m.closest(krpc.ID{}, 1000, 0) {
		if r.addr() == host.Addr.Addr() {
			places++
		}
	}
	if places != 1 || len(m.places) != m.count {
		t.Errorf("remembered %d times; %d places of %d contacts", places, len(m.places), m.count)
	}
}

// Whoever has a site of IPv6 has 65 536 networks of it: they are one place.
func TestASiteHasOnePlace(t *testing.T) {
	m := newMemory(1000)
	for i := range 500 {
		m.add(krpc.NodeInfo{ID: known(i).ID, Addr: simnet.Addr6(i)}, 1, 0)
	}
	before := m.count
	site := netip.MustParseAddr("2a05:d018:1::1").As16()
	for i := range 1 << 16 {
		site[6], site[7] = byte(i>>8), byte(i)
		n := krpc.NodeInfo{ID: krpc.ID{byte(i), byte(i >> 8)}, Addr: netip.AddrPortFrom(netip.AddrFrom16(site), 6881)}
		m.add(n, 1, atMinute(1))
	}
	if m.count > before+1 || len(m.places) != m.count {
		t.Errorf("%d places for one site", m.count-before)
	}
}

func TestFullSetForgetsTheOldest(t *testing.T) {
	m := newMemory(memoryWays)
	for i := range memoryWays {
		m.add(known(i), 1, atMinute(i))
	}
	m.add(known(0), 1, atMinute(20))
	m.add(known(100), 1, atMinute(21))
	if m.count != memoryWays || remembers(&m, known(1), atMinute(21)) || !remembers(&m, known(0), atMinute(21)) {
		t.Error("it was not the one that answered longest ago that went")
	}
}

func TestMemoryGrowsWithWhatItHolds(t *testing.T) {
	m := newMemory(32 * memoryWays)
	for i := range 10_000 {
		m.add(known(i), 1, 0)
		if 8*m.count < len(m.sets)*m.ways && len(m.sets) > 1 {
			t.Fatalf("%d contacts in %d sets", m.count, len(m.sets))
		}
	}
	if m.limit() != 512 || m.count != 512 {
		t.Errorf("%d contacts of %d, want 512", m.count, m.limit())
	}
	for _, max := range []int{1, 5, 31, 32, 100, 1000, DefaultMemory, math.MaxInt} {
		if m := newMemory(max); m.limit() > max || m.limit() < min(max, maxMemory)/16*15 {
			t.Errorf("a memory of %d holds %d", max, m.limit())
		}
	}
}

// A node that hears of others all the time keeps no more than it can use.
func TestMemoryDropsTheStaleBeforeItGrows(t *testing.T) {
	m := newMemory(DefaultMemory)
	for i := range 20_000 {
		m.add(known(i), 1, instant(i)*instant(10*time.Second)) // 360 an hour
	}
	if m.count > 1000 {
		t.Errorf("%d contacts, of which 360 are of use", m.count)
	}
}

// Against a plain list, with contacts that come, answer again and go. A set that fills
// by chance may lose one.
func TestMemoryFindsTheClosest(t *testing.T) {
	lost, fresh := 0, 0
	for seed := range uint64(20) {
		rng := testRand(seed)
		m := newMemory(DefaultMemory)
		list := make(map[krpc.NodeInfo]instant)
		var now instant
		for range 2000 {
			now += instant(rng.Int64N(int64(3 * time.Second)))
			switch n := known(rng.IntN(1500)); {
			case rng.IntN(5) == 0:
				m.remove(n)
				delete(list, n)
			default:
				m.add(n, 1, now)
				list[n] = now / instant(time.Second) * instant(time.Second)
			}
		}
		var alive []krpc.NodeInfo
		for n, at := range list {
			switch {
			case now-at >= instant(memoryAge):
			case remembers(&m, n, now):
				alive = append(alive, n)
				fresh++
			default:
				lost++
			}
		}
		for range 20 {
			checkClosest(t, &m, alive, krpc.RandomID(rng), 1+rng.IntN(40), now)
		}
	}
	if lost*500 > fresh {
		t.Errorf("%d contacts were lost, %d kept", lost, fresh)
	}
}

// checkClosest compares what m finds with a sorted list of all that it has.
func checkClosest(t *testing.T, m *memory, all []krpc.NodeInfo, target krpc.ID, count int, now instant) {
	t.Helper()
	slices.SortFunc(all, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	var got []krpc.NodeInfo
	for _, r := range m.closest(target, count, now) {
		got = append(got, r.info())
	}
	if want := all[:count]; !slices.Equal(got, want) {
		t.Fatalf("the %d closest of %d are %v, want %v", count, m.count, got, want)
	}
}

func fullMemory() (memory, []krpc.NodeInfo) {
	m := newMemory(DefaultMemory)
	rng := testRand(1)
	var nodes []krpc.NodeInfo
	for i := 0; m.count < m.limit(); i++ {
		n := krpc.NodeInfo{ID: krpc.RandomID(rng), Addr: addrIn(i)}
		m.add(n, 100, 0)
		nodes = append(nodes, n)
	}
	return m, nodes
}

func TestFullMemoryAllocatesNothing(t *testing.T) {
	m, _ := fullMemory()
	n := known(0)
	rng := testRand(2)
	if allocs := testing.AllocsPerRun(1000, func() {
		n.ID = krpc.RandomID(rng)
		m.add(n, 100, 0)
	}); allocs != 0 {
		t.Errorf("%v allocations to remember a contact", allocs)
	}
}

func BenchmarkMemoryAdd(b *testing.B) {
	m, nodes := fullMemory()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.add(nodes[i%len(nodes)], 100, atMinute(1))
	}
}

func BenchmarkMemoryClosest(b *testing.B) {
	m, nodes := fullMemory()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.closest(nodes[i%len(nodes)].ID, MaxK, 0)
	}
}
