package store

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
)

// recordsOf is a record of each kind.
func recordsOf(t testing.TB) []record {
	at := times{expires: epoch.Add(Life), received: epoch.Add(time.Millisecond), due: epoch.Add(time.Hour)}
	v6 := netip.MustParseAddrPort("[2001:db8::1]:6881")
	list := []record{
		{kind: recordImmutable, home: listened, times: at, item: immutable(1)},
		{kind: recordImmutable, home: v6, times: at, from: payer{netip.MustParseAddr("2a01::1"), 1}, item: ofSize(MaxValue, 1)},
		{kind: recordMutable, home: listened, times: at, from: payer{stranger.Addr(), strangerShare}, item: mutable(t, "", 1, "i1e")},
		{kind: recordMutable, home: netip.MustParseAddrPort("0.0.0.0:1"), times: at, item: mutable(t, string(make([]byte, MaxSalt)), 1<<62, "le")},
		{kind: recordRefresh, home: netip.MustParseAddrPort("[::]:1"), times: at, item: immutable(1)},
		{kind: recordEviction, home: listened, item: immutable(1)},
	}
	for i := range list {
		r := &list[i]
		if r.target = r.item.Target(); !r.stored() {
			r.item = Item{}
		}
		if len(r.item.Salt) == 0 {
			r.item.Salt = nil
		}
	}
	return list
}

// equals tells whether r and o say the same. Locations and the like of times do not matter.
func (r record) equals(o record) bool {
	sameTimes := r.expires.Equal(o.expires) && r.received.Equal(o.received) && r.due.Equal(o.due)
	r.times, o.times = times{}, times{}
	return sameTimes && reflect.DeepEqual(r, o)
}

func TestRecordsOfItems(t *testing.T) {
	for _, want := range recordsOf(t) {
		b := want.append(nil)
		var got record
		if err := got.decode(b); err != nil || !got.equals(want) {
			t.Errorf("%+v\nwas decoded as\n%+v, %v", want, got, err)
		}
		if err := got.decode(b[:len(b)-1]); err == nil && !want.stored() {
			t.Errorf("kind %d: a byte less: %+v", want.kind, got)
		}
		if err := got.decode(append(b, 'x')); err != errRecord {
			t.Errorf("kind %d: a byte more: %v", want.kind, err)
		}
	}
	for name, b := range map[string][]byte{"none": {}, "kind 0": {0}, "unknown kind": {200}, "nothing but the kind": {1}} {
		if err := new(record).decode(b); err != errRecord {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What nodes refuse is no item.
	for name, it := range map[string]Item{
		"value too big": ofSize(MaxValue+1, 1), "value not canonical": {V: []byte("d1:b0:1:a0:e")}, "no value": {},
		"negative seq":   {V: []byte("le"), K: make([]byte, 32), Sig: make([]byte, 64), Seq: -1},
		"salt too large": {V: []byte("le"), K: make([]byte, 32), Sig: make([]byte, 64), Salt: make([]byte, MaxSalt+1)},
	} {
		r := record{kind: recordImmutable, home: listened, item: it}
		if it.Mutable() {
			r.kind = recordMutable
		}
		if err := new(record).decode(r.append(nil)); err != errRecord {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReplay holds that no record harms a node, and that what is understood is what would be
// recorded again.
func FuzzReplay(f *testing.F) {
	for _, r := range recordsOf(f) {
		f.Add(r.append(nil))
	}
	w := sim.New(sim.Config{Seed: 1})
	node := w.Grow().Node
	held := immutable(1)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := limits{bytes: 4000, perIP: 2, perSubnet: 3, k: 8}
		own := newDurable(newMemory(&l, rand.New(rand.NewPCG(1, 2))), nil, listened)
		k := &keeper{t: t, shelf: own.memory}
		o := offer{item: held, target: held.Target(), life: time.Hour, self: node.ID(), now: epoch}
		own.take(o, held.clone())
		s := &heldState{nodes: []*kademlia.Node{node}, shelves: []*durable{own}, log: slog.New(slog.DiscardHandler)}
		before := bytes.Clone(b)
		err := s.Replay(b, epoch, epoch)
		if !bytes.Equal(b, before) {
			t.Error("the record was changed")
		}
		s.settle(epoch)
		k.checkBooks()
		for _, e := range own.entries {
			if left := e.expires.At.Sub(epoch); left <= 0 || left > Life || e.received.After(epoch) || e.due.At.Sub(epoch) > Life {
				t.Errorf("%v is left, received %v, due %v", left, e.received, e.due.At)
			}
		}
		if err != nil {
			return
		}
		var r, again record
		if err := r.decode(b); err != nil {
			t.Fatal(err)
		}
		if err := again.decode(r.append(nil)); err != nil || !again.equals(r) {
			t.Errorf("%+v\nwas decoded as\n%+v, %v", r, again, err)
		}
	})
}

// FuzzReplayKept is FuzzReplay of what is kept.
func FuzzReplayKept(f *testing.F) {
	fixed, news := immutable(1), mutable(f, "salt", 3, "4:news")
	target := fixed.Target()
	f.Add(appendKept(nil, &fixed, epoch))
	f.Add(appendKept(nil, &news, epoch.Add(time.Hour)))
	f.Add(append([]byte{byte(unkept)}, target[:]...))
	f.Add(appendTime(append([]byte{byte(keptPut)}, target[:]...), epoch))
	f.Add([]byte{byte(keptAll)})
	w := sim.New(sim.Config{Seed: 1})
	node := w.Grow().Node
	f.Fuzz(func(t *testing.T, b []byte) {
		items := New([]*kademlia.Node{node}, Config{MaxKept: 2, Rand: rand.New(rand.NewPCG(1, 2))})
		if err := items.Keep(fixed, KeepOptions{Stored: true}); err != nil {
			t.Fatal(err)
		}
		s := &keptState{publisher: &items.publisher, max: 2}
		err := s.Replay(b, epoch, epoch)
		if n := items.Kept(); n > 2 || err != nil && n != 1 {
			t.Errorf("%d items are kept: %v", n, err)
		}
		for record := range s.Records(epoch) {
			if err := s.Replay(record, epoch, epoch); err != nil {
				t.Errorf("%x: %v", record, err)
			}
		}
	})
}
