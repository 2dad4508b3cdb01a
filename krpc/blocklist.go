package krpc

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	// maxBlocklistRanges bounds a list's memory: 32 MB of IPv4 ranges, or 128 MB
	// of IPv6 ones. The largest lists in use have under 1 million.
	maxBlocklistRanges = 4_000_000
	// maxBlocklistLine is in bytes, the line's end included.
	maxBlocklistLine = 4096

	utf8BOM = "\ufeff" // what some editors put before the first line
)

// Blocklist is a set of address ranges that can be replaced while it is asked.
// The zero Blocklist and a nil one contain nothing. Contains takes no lock and
// allocates nothing; all methods are safe for concurrent use.
type Blocklist struct{ ranges atomic.Pointer[blockedRanges] }

// blockedRanges is immutable once it is in a Blocklist. The ranges are apart by
// family so that an IPv4 one takes 8 bytes.
type blockedRanges struct {
	v4 []span[addr4]
	v6 []span[addr6]
}

// Contains reports whether a is in one of the ranges. An IPv4-mapped address is
// the IPv4 address in it; a zone is ignored.
func (b *Blocklist) Contains(a netip.Addr) bool {
	return b != nil && b.ranges.Load() != nil && b.contains(a)
}

// contains is Contains, which is to be inlined, for a list that was loaded once: none is
// ever unloaded.
func (b *Blocklist) contains(a netip.Addr) bool {
	l := b.ranges.Load()
	switch {
	case !a.IsValid():
		return false
	case a.Is4() || a.Is4In6():
		return contains(l.v4, toAddr4(a))
	}
	return contains(l.v6, toAddr6(a))
}

// Len returns the number of ranges after merging those that touch.
func (b *Blocklist) Len() int {
	if b == nil {
		return 0
	}
	if r := b.ranges.Load(); r != nil {
		return len(r.v4) + len(r.v6)
	}
	return 0
}

// Load replaces the ranges by those that r lists and returns how many they are
// after merging. After an error, which names the line at fault, the old ranges
// stay. A list has at most 4 million ranges, one a line of at most 4096 bytes,
// and each line may have any of these forms:
//
//	1.2.3.4              one address, or one prefix (1.2.3.0/24), perhaps with
//	2001:db8::/32        a comment after "#" or ";"
//	name:1.2.3.4-1.2.3.9 PeerGuardian's text form (P2P); names may have colons
//	001.002.003.004 - 001.002.003.009 , 000 , name
//	                     eMule's ipfilter.dat; with a level (the second field)
//	                     above 127 it is a permission and does not count
//	1.2.3.4-1.2.3.9      a range alone
//
// Blank lines and those that begin with "#" or ";" are skipped. Numbers with
// leading zeros are decimal. Nothing is resolved and no name is kept.
func (b *Blocklist) Load(r io.Reader) (ranges int, err error) {
	list, err := readBlocklist(r)
	if err != nil {
		return 0, fmt.Errorf("krpc: load blocklist: %w", err)
	}
	b.ranges.Store(list)
	return len(list.v4) + len(list.v6), nil
}

func readBlocklist(r io.Reader) (*blockedRanges, error) {
	list := new(blockedRanges)
	in := bufio.NewReaderSize(r, maxBlocklistLine)
	for n := 1; ; n++ {
		line, readErr := in.ReadSlice('\n')
		err := readErr
		switch {
		case errors.Is(readErr, bufio.ErrBufferFull):
			err = errLineTooLong
		case readErr == nil || errors.Is(readErr, io.EOF):
			err = list.addLine(strings.TrimPrefix(string(line), utf8BOM))
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %.60q: %w", n, line, err)
		}
		if readErr != nil {
			break
		}
	}
	list.v4, list.v6 = merge(list.v4), merge(list.v6)
	return list, nil
}

var (
	errLineTooLong   = fmt.Errorf("longer than %d bytes", maxBlocklistLine)
	errTooManyRanges = fmt.Errorf("more than %d ranges", maxBlocklistRanges)
)

// addLine adds the range of a line, if it states one.
func (l *blockedRanges) addLine(line string) error {
	from, to, err := parseBlocklistLine(line)
	if err != nil || !from.IsValid() {
		return err
	}
	if len(l.v4)+len(l.v6) == maxBlocklistRanges {
		return errTooManyRanges
	}
	if from.Is4() {
		l.v4 = append(l.v4, span[addr4]{toAddr4(from), toAddr4(to)})
	} else {
		l.v6 = append(l.v6, span[addr6]{toAddr6(from), toAddr6(to)})
	}
	return nil
}

// span is the range of addresses from lo to hi, both included.
type span[A address[A]] struct{ lo, hi A }

// address is an IP address as an integer.
type address[A any] interface {
	compare(A) int
	next() A // of the highest address it is the lowest
}

type addr4 uint32

func toAddr4(a netip.Addr) addr4 {
	b := a.As16()
	return addr4(binary.BigEndian.Uint32(b[12:]))
}

func (a addr4) compare(b addr4) int { return cmp.Compare(a, b) }
func (a addr4) next() addr4         { return a + 1 }

type addr6 struct{ hi, lo uint64 }

func toAddr6(a netip.Addr) addr6 {
	b := a.As16()
	return addr6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a addr6) compare(b addr6) int {
	if a.hi != b.hi {
		return cmp.Compare(a.hi, b.hi)
	}
	return cmp.Compare(a.lo, b.lo)
}

func (a addr6) next() addr6 {
	a.lo++
	if a.lo == 0 {
		a.hi++
	}
	return a
}

// merge sorts spans, joins those that overlap or touch, and gives back the
// memory that this leaves over.
func merge[A address[A]](spans []span[A]) []span[A] {
	slices.SortFunc(spans, func(x, y span[A]) int { return x.lo.compare(y.lo) })
	out := spans[:0]
	for _, s := range spans {
		if len(out) > 0 {
			last := &out[len(out)-1]
			if s.lo.compare(last.hi) <= 0 || s.lo.compare(last.hi.next()) == 0 {
				if s.hi.compare(last.hi) > 0 {
					last.hi = s.hi
				}
				continue
			}
		}
		out = append(out, s)
	}
	return slices.Clone(out)
}

// contains reports whether a is in one of the sorted, disjoint spans.
func contains[A address[A]](spans []span[A], a A) bool {
	lo, hi := 0, len(spans) // all spans before lo end before a, none from hi on does
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if spans[mid].hi.compare(a) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(spans) && spans[lo].lo.compare(a) <= 0
}
