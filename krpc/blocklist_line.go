package krpc

import (
	"errors"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

var (
	errBlocklistForm  = errors.New("neither an address, a prefix, nor a range")
	errBlocklistOrder = errors.New("the range ends before it begins or in another family")
	errBlocklistLevel = errors.New("the access level is not a number")
)

// maxBlockedLevel is the highest access level of an ipfilter.dat that blocks.
const maxBlockedLevel = 127

// parseBlocklistLine returns the first and the last address of the range that a
// line states, see Blocklist.Load; two zero Addrs when it states none. Neither
// is IPv4-mapped or has a zone.
func parseBlocklistLine(line string) (from, to netip.Addr, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return netip.Addr{}, netip.Addr{}, nil
	}
	// The forms are tried from the strictest on, because the names in the other
	// two may contain anything, even addresses and comment signs.
	if from, to, ok := parseBlockedPrefix(line); ok {
		return from, to, nil
	}
	if addrs, rest, ok := strings.Cut(line, ","); ok {
		first, last, _ := strings.Cut(addrs, "-")
		from, to := parseBlockedAddr(first), parseBlockedAddr(last)
		if from.IsValid() && to.IsValid() {
			return datRange(from, to, rest)
		}
	}
	return parseP2P(line)
}

// parseBlockedPrefix reads "address" or "address/bits", perhaps with a comment.
func parseBlockedPrefix(s string) (from, to netip.Addr, ok bool) {
	if i := strings.IndexAny(s, "#;"); i >= 0 {
		s = s[:i]
	}
	addr, length, isPrefix := strings.Cut(s, "/")
	from = parseBlockedAddr(addr)
	if !isPrefix || !from.IsValid() {
		return from, from, from.IsValid()
	}
	n, err := strconv.ParseUint(strings.TrimSpace(length), 10, 8)
	if err != nil {
		return from, from, false
	}
	if from.Is4() && strings.Contains(addr, ":") {
		if n < 96 { // a prefix of IPv6 that all IPv4-mapped addresses are in
			return from, from, false
		}
		n -= 96
	}
	p, err := from.Prefix(int(n))
	if err != nil {
		return from, from, false
	}
	return p.Addr(), lastAddr(p), true
}

// lastAddr returns the highest address in p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// datRange checks the range of an eMule line; rest is what follows its comma.
func datRange(from, to netip.Addr, rest string) (netip.Addr, netip.Addr, error) {
	if level, _, _ := strings.Cut(rest, ","); strings.TrimSpace(level) != "" {
		n, err := strconv.ParseUint(strings.TrimSpace(level), 10, 16)
		if err != nil {
			return from, to, errBlocklistLevel
		}
		if n > maxBlockedLevel {
			return netip.Addr{}, netip.Addr{}, nil
		}
	}
	return from, to, checkRange(from, to)
}

// parseP2P reads "name:address-address", or the range without a name. The last
// "-" divides it, since no address has one. Where an IPv6 address begins is not
// certain, because the name may end like one ("cafe:2001:db8::1"): of the places
// where it may, the one is taken whose address has the longest prefix in common
// with the range's end, and the first of those. The order is checked only then,
// or else a range that is the wrong way round would be read as a huge one.
func parseP2P(line string) (from, to netip.Addr, err error) {
	dash := strings.LastIndexByte(line, '-')
	if dash < 0 {
		return from, to, errBlocklistForm
	}
	if to = parseBlockedAddr(line[dash+1:]); !to.IsValid() {
		return from, to, errBlocklistForm
	}
	const places = 9 // after the name's colon, or one of the address's up to 8
	for i, n := dash, 0; i >= 0 && n < places; n++ {
		i = strings.LastIndexByte(line[:i], ':')
		a := parseBlockedAddr(line[i+1 : dash])
		if a.IsValid() && (!from.IsValid() || commonPrefix(a, to) >= commonPrefix(from, to)) {
			from = a
		}
	}
	if !from.IsValid() {
		return from, to, errBlocklistForm
	}
	return from, to, checkRange(from, to)
}

// commonPrefix returns the number of leading bits that a and b share, or -1 when
// they are of different families.
func commonPrefix(a, b netip.Addr) int {
	if a.BitLen() != b.BitLen() {
		return -1
	}
	x, y := a.As16(), b.As16()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return 128
}

func checkRange(from, to netip.Addr) error {
	if from.BitLen() != to.BitLen() || to.Less(from) {
		return errBlocklistOrder
	}
	return nil
}

// parseBlockedAddr reads an address with blanks around it, or returns the zero
// Addr. IPv4 numbers may have leading zeros, which netip refuses.
func parseBlockedAddr(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if strings.Contains(s, ":") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Addr{}
		}
		return a.Unmap()
	}
	var b [4]byte
	for i := range b {
		part, rest, more := strings.Cut(s, ".")
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || len(part) > 3 || more != (i < 3) {
			return netip.Addr{}
		}
		b[i], s = byte(n), rest
	}
	return netip.AddrFrom4(b)
}
