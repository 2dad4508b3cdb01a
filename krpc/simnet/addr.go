package simnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	// Port is the port of the addresses that Addr and Addr6 return.
	Port = 6881

	// reserved8 are the first octets below 224 of the networks in which some
	// addresses are not public (IANA's special-purpose registry), ascending.
	// 0 is left out by counting from 1.
	reserved8   = "\x0a\x64\x7f\xa9\xac\xc0\xc6\xcb"
	numPublic8  = 223 - len(reserved8)
	numPublic16 = numPublic8 << 8

	// numAddrs is the number of different results of Addr.
	numAddrs = uint64(numPublic16) * 256 * 254
)

// Addr returns the i-th of a fixed sequence of some 3.5 thousand million
// different public IPv4 addresses, with port 6881. 215 consecutive ones are in
// different /8 networks, the first 55 040 in different /16, the first 14 million
// in different /24, so that rules against many nodes in one network leave them
// alone. It panics if i is negative or beyond the last.
func Addr(i int) netip.AddrPort {
	if i < 0 || uint64(i) >= numAddrs {
		panic(fmt.Sprintf("simnet: Addr: no address %d", i))
	}
	first := byte(1 + i%numPublic8)
	for _, r := range []byte(reserved8) {
		if first >= r {
			first++
		}
	}
	second := byte(i / numPublic8)
	round := i / numPublic16 // that many addresses are before it in its /16
	mix := scramble(uint32(first)<<8 | uint32(second))
	ip := netip.AddrFrom4([4]byte{first, second, byte(round) ^ byte(mix), byte(1 + (round>>8+int(mix>>8))%254)})
	return netip.AddrPortFrom(ip, Port)
}

// Addr6 returns the i-th of a fixed sequence of different global IPv6
// addresses, with port 6881, all in different /64 networks and the first 134
// million in different /32. It panics if i is negative.
func Addr6(i int) netip.AddrPort {
	if i < 0 {
		panic(fmt.Sprintf("simnet: Addr6: no address %d", i))
	}
	// 2800::/5 is free of special networks, which 2000::/5 is not: Teredo, 6to4
	// and documentation.
	n := uint64(i)
	var b [16]byte
	binary.BigEndian.PutUint16(b[0:], uint16(0x2800|n&0x7ff))
	binary.BigEndian.PutUint16(b[2:], uint16(n>>11))
	binary.BigEndian.PutUint32(b[4:], uint32(n>>27)^scramble(uint32(n)&(1<<27-1)))
	binary.BigEndian.PutUint16(b[14:], 1)
	return netip.AddrPortFrom(netip.AddrFrom16(b), Port)
}

// scramble spreads n over 32 bits (the finalizer of MurmurHash3). The bits of an
// address that BEP 42 makes ids of would else be the same for all, and the ids
// would crowd a few places of the keyspace.
func scramble(n uint32) uint32 {
	n ^= n >> 16
	n *= 0x85ebca6b
	n ^= n >> 13
	n *= 0xc2b2ae35
	return n ^ n>>16
}
