package store

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/krpc"
)

// The tags of what an Items records in Config.Journal.
const (
	TagItems journal.Tag = 3 // what it keeps for others
	TagKept  journal.Tag = 4 // what Keep began and Unkeep has not ended
)

var errRecord = errors.New("store: replay: not a record of this version")

// kind is the first byte of a record, and what happened to an item of the shelf.
type kind byte

const (
	recordImmutable kind = iota + 1
	recordMutable
	recordRefresh
	recordEviction
)

// record is what the journal has of an item that is kept for others. Numbers are big-endian,
// times milliseconds of Unix time, and addresses those of IPv6, with IPv4 mapped into it.
//
//	all        kind 1, home 16 + port 2
//	stored     expires 8, received 8, due 8, share 1, payer 16, item
//	refreshed  target 20, expires 8, received 8, due 8
//	evicted    target 20
//
// An item is its value; a mutable one is seq 8, key 32, signature 64, length of the salt 1,
// salt, value.
type record struct {
	kind   kind
	home   netip.AddrPort // what the node of its shelf listens on
	target krpc.ID
	times        // unless it is evicted
	from   payer // whom it is charged to; if it is stored, like item
	item   Item
}

// times are those of an item on a shelf.
type times struct {
	expires  time.Time
	received time.Time // when it was last put
	due      time.Time // when to republish it
}

// stored tells whether r has an item.
func (r *record) stored() bool { return r.kind == recordImmutable || r.kind == recordMutable }

func (r *record) append(dst []byte) []byte {
	dst = append(dst, byte(r.kind))
	dst = appendAddr(dst, r.home.Addr())
	dst = binary.BigEndian.AppendUint16(dst, r.home.Port())
	switch {
	case r.stored():
		dst = append(r.appendTimes(dst), byte(r.from.share))
		return appendItem(appendAddr(dst, r.from.addr), &r.item)
	case r.kind == recordRefresh:
		return r.appendTimes(append(dst, r.target[:]...))
	}
	return append(dst, r.target[:]...)
}

// appendAddr appends a; the zero Addr, of the payer who is nobody, is as good as any.
func appendAddr(dst []byte, a netip.Addr) []byte {
	b := a.As16()
	return append(dst, b[:]...)
}

func (t *times) appendTimes(dst []byte) []byte {
	for _, at := range [...]time.Time{t.expires, t.received, t.due} {
		dst = appendTime(dst, at)
	}
	return dst
}

func appendTime(dst []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(t.UnixMilli()))
}

func appendItem(dst []byte, it *Item) []byte {
	if it.Mutable() {
		dst = binary.BigEndian.AppendUint64(dst, uint64(it.Seq))
		dst = append(append(dst, it.K...), it.Sig...)
		dst = append(append(dst, byte(len(it.Salt))), it.Salt...)
	}
	return append(dst, it.V...)
}

// decode sets r to the record in b, which its item aliases. The error is nil or errRecord. Of
// an item all is checked but the signature, which was before it was recorded.
func (r *record) decode(b []byte) error {
	f := fields{rest: b}
	*r = record{kind: kind(f.byte())}
	r.home = netip.AddrPortFrom(f.addr(), binary.BigEndian.Uint16(f.next(2)))
	switch r.kind {
	case recordImmutable, recordMutable:
		f.times(&r.times)
		r.from.share = int32(f.byte())
		r.from.addr = f.addr()
		f.item(&r.item, r.kind == recordMutable)
		r.target = r.item.Target()
	case recordRefresh:
		r.target = f.id()
		f.times(&r.times)
	case recordEviction:
		r.target = f.id()
	default:
		return errRecord
	}
	if r.from.share == 0 {
		r.from = payer{}
	}
	if !f.whole() || r.from.share > strangerShare {
		return errRecord
	}
	return nil
}

// fields reads the fields of a record. Past its end they are zero.
type fields struct {
	rest  []byte
	short bool // the record ended too early, or its item is none
}

func (f *fields) next(n int) []byte {
	if len(f.rest) < n {
		f.rest, f.short = nil, true
		return make([]byte, n)
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

// whole tells whether all of the record was read, and nothing was missing.
func (f *fields) whole() bool { return !f.short && len(f.rest) == 0 }

func (f *fields) byte() byte       { return f.next(1)[0] }
func (f *fields) uint64() uint64   { return binary.BigEndian.Uint64(f.next(8)) }
func (f *fields) id() krpc.ID      { return krpc.ID(f.next(len(krpc.ID{}))) }
func (f *fields) addr() netip.Addr { return netip.AddrFrom16([16]byte(f.next(16))).Unmap() }
func (f *fields) time() time.Time  { return time.UnixMilli(int64(f.uint64())) }

func (f *fields) times(t *times) {
	t.expires, t.received, t.due = f.time(), f.time(), f.time()
}

// item sets it to the item that is the rest of the record.
func (f *fields) item(it *Item, mutable bool) {
	if mutable {
		it.Seq = int64(f.uint64())
		it.K, it.Sig = f.next(32), f.next(64)
		if n := int(f.byte()); n > 0 {
			it.Salt = f.next(n)
		}
	}
	it.V = f.next(len(f.rest))
	if it.checkForm() != nil {
		f.short = true
	}
	if f.short {
		*it = Item{} // a salt may be too long to have a target
	}
}
