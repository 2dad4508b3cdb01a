package indexer

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// idAt returns an id that begins with these 64 bits.
func idAt(prefix uint64) (id krpc.ID) {
	binary.BigEndian.PutUint64(id[:], prefix)
	return id
}

// Zones of any lengths follow each other without a gap, up to the end.
func TestZonesCoverTheKeyspace(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 1))
	for range 200 {
		var sum float64
		prefix, more := uint64(0), true
		for more {
			z := zoneAt(prefix, 100*rng.Float64())
			if z.prefix != prefix || z.start() != sum || z.share() > 1 {
				t.Fatalf("zone %+v starts at %v, want %v", z, z.start(), sum)
			}
			for range 10 {
				if id := z.random(rng); !z.contains(id) || z.isBefore(id) {
					t.Fatalf("%v is not in zone %+v", id, z)
				}
			}
			sum += z.share()
			if prefix, more = z.next(); more && (z.contains(idAt(prefix)) || !z.isBefore(idAt(prefix)) || !z.contains(idAt(prefix-1))) {
				t.Fatalf("zone %+v does not end at %x", z, prefix)
			}
		}
		if sum != 1 {
			t.Fatalf("the zones are %v of the keyspace", sum)
		}
	}
}

func TestZoneIsAsSmallAsAsked(t *testing.T) {
	for _, c := range []struct {
		prefix uint64
		parts  float64
		bits   int
	}{
		{0, 0.1, 0}, {0, 1, 0}, {0, 1.1, 1}, {0, 16, 4}, {0, 17, 5}, {0, 1e30, maxBits},
		{1 << 63, 0.1, 1}, {1 << 60, 1, 4}, {1 << 60, 100, 7},
	} {
		if z := zoneAt(c.prefix, c.parts); z.bits != c.bits {
			t.Errorf("zoneAt(%x, %v) has %d bits, want %d", c.prefix, c.parts, z.bits, c.bits)
		}
	}
}

// Every cell is aimed at before one is for the second time, and the next zone too.
func TestTargetsCoverTheZone(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 2))
	a := newArea(zone{0x40 << 56, 2}, 4*256)
	if len(a.known) != 256/cellNodes || len(a.aimed) != len(a.known)+1 {
		t.Fatalf("%d cells", len(a.known))
	}
	first := a.random(rng)
	if id := a.target(first, rng); a.cell(id) != a.cell(first) {
		t.Errorf("the first is not asked for its own cell")
	}
	for round := range 3 {
		for range len(a.aimed) {
			id := a.target(a.random(rng), rng)
			if !a.contains(id) && !(zone{0x80 << 56, 2}).contains(id) {
				t.Fatalf("%v is in neither zone", id)
			}
		}
		for i, n := range a.aimed[1:] {
			if n != round+1 && n != round+2 {
				t.Errorf("round %d: %d queries aimed at cell %d", round, n, i+1)
			}
		}
	}
}

// The last zone has none to look ahead to, and a small one has a single cell.
func TestTargetInTheLastZone(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 3))
	a := newArea(zone{}, 5)
	if len(a.aimed) != 1 {
		t.Fatalf("%d places to aim at, want 1", len(a.aimed))
	}
	first := a.target(krpc.RandomID(rng), rng)
	if second := a.target(krpc.RandomID(rng), rng); second == first {
		t.Error("the same target twice")
	}
}

func TestAreaTakesEachNodeOnce(t *testing.T) {
	a := newArea(zone{}, 1000)
	id, other, addr := idAt(1<<63), idAt(1<<62), simnet.Addr(1)
	if nd, ok := a.add(krpc.NodeInfo{ID: id, Addr: addr}); nd == nil || !ok {
		t.Fatal("the first was not taken")
	}
	for name, n := range map[string]krpc.NodeInfo{
		"the same":                {ID: id, Addr: addr},
		"the id at another place": {ID: id, Addr: simnet.Addr(2)},
		"another id at its place": {ID: other, Addr: addr},
	} {
		if nd, ok := a.add(n); nd != nil || !ok {
			t.Errorf("%s: %v, %v", name, nd, ok)
		}
	}
}

func TestAreaIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 4))
	at := func(host string, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port))
	}
	for name, c := range map[string]struct {
		node func(i int) krpc.NodeInfo
		want int
	}{
		"a host":   {func(i int) krpc.NodeInfo { return krpc.NodeInfo{ID: krpc.RandomID(rng), Addr: at("90.1.2.3", i)} }, maxPerHost},
		"a /64":    {func(i int) krpc.NodeInfo { return krpc.NodeInfo{ID: krpc.RandomID(rng), Addr: at("2a00::1", i)} }, maxPerHost},
		"loopback": {func(i int) krpc.NodeInfo { return krpc.NodeInfo{ID: krpc.RandomID(rng), Addr: at("127.0.0.1", i)} }, 500},
		"a cell":   {func(i int) krpc.NodeInfo { return krpc.NodeInfo{ID: idAt(uint64(i)), Addr: simnet.Addr(i)} }, maxPerCell},
	} {
		a, taken := newArea(zone{}, 1000), 0
		for i := range 500 {
			if nd, _ := a.add(c.node(i + 1)); nd != nil {
				taken++
			}
		}
		if taken != c.want || len(a.nodes) > a.max() {
			t.Errorf("%s: %d nodes, want %d", name, taken, c.want)
		}
	}
}

// A checkpoint may say anything of the network and of the zone that it was in.
func TestZonesAreBoundedWhateverACheckpointSays(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, bits := range []int{0, 1, maxBits} {
		for _, nodes := range []float64{0, 1, maxNetwork, 1 << 60} {
			a := newArea(zone{bits: bits}, nodes)
			if a.max() > maxSaved {
				t.Errorf("%d bits, %g nodes: room for %d", bits, nodes, a.max())
			}
			id := a.target(a.random(rng), rng)
			if c := a.cell(id); a.contains(id) && (c < 0 || c >= len(a.known)) {
				t.Errorf("%d bits, %g nodes: cell %d of %d", bits, nodes, c, len(a.known))
			}
		}
	}
}
