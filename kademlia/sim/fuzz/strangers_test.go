package fuzz

import (
	"crypto/ed25519"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// population is who there is besides the program: numHosts of each family that speak the
// protocol, and addresses that nobody should be at.
var population = populate()

const numHosts = 48

func populate() (list []krpc.NodeInfo) {
	for i := range numHosts {
		list = append(list, stranger(simnet.Addr(i)), stranger(simnet.Addr6(i)))
	}
	for i := range 16 { // of one network, and one address
		list = append(list, stranger(netip.AddrPortFrom(netip.AddrFrom4([4]byte{90, 1, 2, byte(i)}), 6881)))
		list = append(list, stranger(netip.AddrPortFrom(netip.AddrFrom4([4]byte{91, 1, 2, 3}), uint16(i+1))))
	}
	for _, a := range []string{
		"127.0.0.1:1", "10.0.0.1:6881", "[::1]:1", "[fe80::1]:6881", "0.0.0.0:1", "[::]:1", "224.0.0.1:1", "[ff02::1]:1",
		"255.255.255.255:1", "240.0.0.1:9", "90.1.2.3:0", "[2a01::1]:0", "100.64.0.1:1", "[fec0::1]:1",
	} {
		list = append(list, stranger(netip.MustParseAddrPort(a)))
	}
	return append(list, stranger(simnet.Addr(5000)), stranger(simnet.Addr6(5000))) // the program itself
}

// stranger returns the host at addr. Its id follows from the address.
func stranger(addr netip.AddrPort) krpc.NodeInfo {
	b := addr.Addr().As16()
	rng := rand.New(rand.NewPCG(uint64(b[12])<<24|uint64(b[13])<<16|uint64(b[14])<<8|uint64(b[15]), uint64(b[3])<<16|uint64(addr.Port())))
	return krpc.NodeInfo{ID: kademlia.SecureID(addr.Addr(), rng), Addr: addr}
}

// party is a stranger and the id that it has just now.
type party struct {
	addr netip.AddrPort
	id   krpc.ID
}

func (p *program) stranger(i byte) party {
	n := population[int(i)%len(population)]
	return party{n.Addr, n.ID}
}

// isStranger tells whether one who can answer is at addr.
func (p *program) isStranger(addr netip.AddrPort) bool {
	return slices.ContainsFunc(population[:2*numHosts+32], func(n krpc.NodeInfo) bool { return n.Addr == addr })
}

// closest returns the hosts of a family that are closest to target.
func closest(target krpc.ID, v6 bool) []krpc.NodeInfo {
	list := make([]krpc.NodeInfo, 0, kademlia.DefaultK+1)
	for _, n := range population[:2*numHosts] {
		if n.Addr.Addr().Is6() != v6 {
			continue
		}
		i, _ := slices.BinarySearchFunc(list, n.ID, func(o krpc.NodeInfo, id krpc.ID) int {
			return krpc.CompareDistance(o.ID, id, target)
		})
		if list = slices.Insert(list, i, n); len(list) > kademlia.DefaultK {
			list = list[:kademlia.DefaultK]
		}
	}
	return list
}

// owner signs the mutable items.
var owner = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// pool are the items that there are, genuine ones.
var pool = makeItems()

func makeItems() (list []store.Item) {
	must := func(it store.Item, err error) {
		if err != nil {
			panic(err)
		}
		list = append(list, it)
	}
	long := append([]byte("995:"), make([]byte, 995)...)
	for _, v := range [][]byte{[]byte("1:a"), []byte("le"), []byte("d1:ai1ee"), long} {
		must(store.Immutable(v))
		for seq := range int64(4) {
			must(store.Sign(owner, nil, seq, v))
		}
		must(store.Sign(owner, []byte("salt"), 1, v))
	}
	must(store.Sign(owner, make([]byte, store.MaxSalt), 1<<62, long))
	return list
}

// target returns one of the keys that a script deals with: info-hashes, targets of items, ids of
// strangers and the program's own.
func (p *program) target(i byte) krpc.ID {
	switch i %= 32; {
	case i < 8:
		return krpc.ID{i, 1}
	case i < 20:
		return pool[int(i)%len(pool)].Target()
	case i < 28:
		return population[i].ID
	}
	id := p.nodes[int(i)%len(p.nodes)].ID()
	if i >= 30 {
		id[19] ^= i
	}
	return id
}
