package store

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

func TestVectorsOfBEP44OverTheWire(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	for _, v := range vectors(t) {
		r := k.get(v.item.Target())
		if r.V != nil || r.HasSeq || r.HasTTL || len(r.Token) != kademlia.TokenLen || r.Nodes == nil {
			t.Errorf("%s: before the put: %+v", v.name, r)
		}
		wantDone(t, k.putWith(v.item, func(q *krpc.Message) { q.Token = r.Token }))
		r = k.get(v.item.Target())
		if !bytes.Equal(r.V, v.item.V) || !bytes.Equal(r.K, v.item.K) || !bytes.Equal(r.Sig, v.item.Sig) {
			t.Errorf("%s: got %+v", v.name, r)
		}
		if r.HasSeq != v.item.Mutable() || r.Seq != v.item.Seq || r.TTL != int64(Life/time.Second) || r.Salt != nil {
			t.Errorf("%s: seq %v %d, ttl %d, salt %q", v.name, r.HasSeq, r.Seq, r.TTL, r.Salt)
		}
		if r.Token == nil || r.Nodes == nil {
			t.Errorf("%s: no token or nodes beside the value", v.name)
		}
	}
	if st := k.Stats(); st.Mutable != 2 || st.Immutable != 1 || st.GetsHit != 3 || st.GetsMissed != 3 || st.PutsStored != 3 {
		t.Errorf("stats %+v", st)
	}
}

// Every error of BEP 44, and of ours. The store holds "held" with seq 5.
func TestPutsThatAreRefused(t *testing.T) {
	tooLong := func(q *krpc.Message) { q.V = []byte("997:" + strings.Repeat("x", 997)) }
	for name, c := range map[string]struct {
		put  func(*krpc.Message)
		code int64
		text string
	}{
		"v of 1001 bytes":                {tooLong, 205, ""},
		"salt of 65 bytes":               {func(q *krpc.Message) { q.Salt = make([]byte, 65) }, 207, ""},
		"unsorted dictionary":            {func(q *krpc.Message) { q.V = []byte("d1:b0:1:a0:e") }, 203, "bencode"},
		"no token":                       {func(q *krpc.Message) { q.Token = nil }, 203, "token"},
		"bad token":                      {func(q *krpc.Message) { q.Token = []byte("12345678") }, 203, "bad token"},
		"token for another salt":         {func(q *krpc.Message) { q.Salt = []byte("other") }, 203, "bad token"},
		"no sig":                         {func(q *krpc.Message) { q.Sig = nil }, 203, "sig"},
		"no seq":                         {func(q *krpc.Message) { q.HasSeq = false }, 203, "seq"},
		"no k":                           {func(q *krpc.Message) { q.K = nil }, 203, ""},
		"short k":                        {func(q *krpc.Message) { q.K = q.K[1:] }, 203, "k"},
		"negative seq":                   {func(q *krpc.Message) { q.Seq = -1 }, 203, "seq"},
		"bad signature":                  {func(q *krpc.Message) { q.Sig = make([]byte, 64) }, 206, ""},
		"signature of another seq":       {func(q *krpc.Message) { q.Seq = 7 }, 206, ""},
		"cas mismatch":                   {func(q *krpc.Message) { q.HasCas, q.Cas = true, 4 }, 301, ""},
		"cas of 0":                       {func(q *krpc.Message) { q.HasCas = true }, 301, ""},
		"cas mismatch and old seq":       {func(q *krpc.Message) { q.HasCas, q.Cas, q.Seq = true, 4, 4 }, 301, ""},
		"old seq":                        {func(q *krpc.Message) { q.Seq = 4 }, 302, ""},
		"equal seq, other value":         {func(q *krpc.Message) { q.Seq, q.V = 5, []byte("5:other") }, 302, ""},
		"equal seq, value and bad sig":   {func(q *krpc.Message) { q.Seq, q.V, q.Sig = 5, []byte("4:held"), make([]byte, 64) }, 206, ""},
		"all wrong: the form goes first": {func(q *krpc.Message) { tooLong(q); q.Token, q.Sig, q.Seq = []byte("no"), make([]byte, 64), 1 }, 205, ""},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t, 1, Config{})
			held := mutable(t, "salt", 5, "4:held")
			k.mustPut(held)
			wantError(t, k.putWith(mutable(t, "salt", 6, "4:next"), c.put), c.code, c.text)
			k.wantHeld(true, held)
			if st := k.Stats(); st.Mutable != 1 {
				t.Errorf("stats %+v", st)
			}
			k.checkBooks()
		})
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	for err, want := range map[*krpc.Error]Refusal{
		ErrValueTooBig: RefusedValueTooBig, ErrSaltTooBig: RefusedSaltTooBig, ErrNotCanonical: RefusedMalformed,
		ErrSeqOutOfRange: RefusedMalformed, errBadToken: RefusedToken, ErrBadSignature: RefusedSignature,
		errCasMismatch: RefusedCas, errSeqTooOld: RefusedSeq,
		errFull: RefusedFull, errIPFull: RefusedIPFull, errSubnetFull: RefusedSubnetFull,
	} {
		if got := refusalOf(err); got != want || got.String() == "" {
			t.Errorf("%v counts as %v, want %v", err, got, want)
		}
	}
	k.putWith(immutable(1), func(q *krpc.Message) { q.Token = []byte("12345678") })
	if st := k.Stats(); st.PutsRefused[RefusedToken] != 1 || st.PutsStored != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestTokenIsOfItsTargetAndAddress(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	it, other := immutable(1), immutable(2)
	for name, token := range map[string][]byte{
		"of another target":  k.get(other.Target()).Token,
		"of another address": k.node.AppendToken(nil, simnet.Addr(7).Addr(), it.Target()),
	} {
		r := k.putWith(it, func(q *krpc.Message) { q.Token = token })
		if wantError(t, r, 203, "bad token"); t.Failed() {
			t.Error(name)
		}
	}
	token := k.get(it.Target()).Token
	k.run(3 * time.Minute)
	wantDone(t, k.putWith(it, func(q *krpc.Message) { q.Token = token }))
	k.run(21 * time.Minute)
	wantError(t, k.putWith(it, func(q *krpc.Message) { q.Token = token }), 203, "bad token")
}

// A get needs no address that others can reach, and neither does an item.
func TestMartiansMayGetAndPut(t *testing.T) {
	k := newKeeper(t, 1, Config{MaxPerIP: 1})
	from := netip.MustParseAddrPort("192.168.1.2:6881")
	it := immutable(1)
	if r := k.ask(from, getQuery(it.Target())); r.Token == nil {
		t.Error("no token")
	}
	k.mustPutFrom(from, it)
	// This node does not take local addresses for nodes, so that they are not free.
	wantError(t, k.ask(from, k.putQuery(from, immutable(2))), 202, "your address")
}

func TestUpdates(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	first, second, third := mutable(t, "", 1, "5:first"), mutable(t, "", 3, "6:second"), mutable(t, "", 4, "i3e")
	// Without an item cas says nothing.
	wantDone(t, k.putWith(first, func(q *krpc.Message) { q.HasCas, q.Cas = true, 9 }))
	k.wantHeld(true, first)
	k.mustPut(second)
	k.wantHeld(true, second)
	wantDone(t, k.putWith(third, func(q *krpc.Message) { q.HasCas, q.Cas = true, 3 }))
	k.wantHeld(true, third)
	wantError(t, k.putWith(first, nil), 302, "")
	k.wantHeld(true, third)
	k.checkBooks()
	if st := k.Stats(); st.Mutable != 1 || st.PutsStored != 3 {
		t.Errorf("stats %+v", st)
	}
}

func TestSaltsTellItemsApart(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	none, a, b := mutable(t, "", 1, "4:none"), mutable(t, "a", 1, "1:a"), mutable(t, "b", 2, "1:b")
	wantDone(t, k.putWith(none, func(q *krpc.Message) { q.Salt = []byte{} })) // as none
	k.mustPut(a, b)
	k.wantHeld(true, none, a, b)
}

// anacrolix/dht sends seq with everything.
func TestImmutableWithMutableArguments(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	it := immutable(1)
	for range 2 {
		wantDone(t, k.putWith(it, func(q *krpc.Message) {
			q.HasSeq, q.Seq, q.HasCas, q.Cas, q.Salt = true, 3, true, 9, make([]byte, 70)
		}))
	}
	q := getQuery(it.Target())
	q.HasSeq, q.Seq = true, 100 // of no meaning either
	if r := k.ask(stranger, q); string(r.V) != string(it.V) || r.HasSeq || r.K != nil || r.Sig != nil {
		t.Errorf("got %+v", r)
	}
}

func TestGetOfWhatIsNotNewer(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	it := mutable(t, "", 5, "i1e")
	k.mustPut(it)
	for seq, newer := range map[int64]bool{0: true, 4: true, 5: false, 6: false} {
		q := getQuery(it.Target())
		q.HasSeq, q.Seq = true, seq
		r := k.ask(stranger, q)
		if (r.V != nil) != newer || (r.K != nil) != newer || (r.Sig != nil) != newer {
			t.Errorf("seq %d: got %+v", seq, r)
		}
		if !r.HasSeq || r.Seq != 5 || r.Token == nil || r.Nodes == nil || r.TTL != int64(Life/time.Second) {
			t.Errorf("seq %d: got %+v", seq, r)
		}
	}
	if st := k.Stats(); st.GetsNotNewer != 2 || st.GetsHit != 2 {
		t.Errorf("stats %+v", st)
	}
}

// Two targets are the same if a key is a value as well. The first one keeps its place.
func TestKeyThatIsAValue(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	value := Item{V: []byte("29:01234567890123456789012345678")}
	k.mustPut(value)
	forged := Item{V: []byte("i1e"), K: value.V, Seq: 1, Sig: make([]byte, 64)}
	if forged.Target() != value.Target() {
		t.Fatal("the targets differ")
	}
	wantError(t, k.putWith(forged, nil), 302, "")
	k.wantHeld(true, value)
}

func TestItemsOutliveTheirPackets(t *testing.T) {
	k := newKeeper(t, 1, Config{})
	it := mutable(t, "salt", 5, "4:held")
	packet := packetOf(k.putQuery(stranger, it))
	wantDone(t, k.deliver(stranger, packet))
	for i := range packet {
		packet[i] = 'x'
	}
	k.wantHeld(true, it)
}

// The largest item leaves room for some nodes, in every way that changes the length of
// the rest.
func TestLargestItemLeavesRoomForNodes(t *testing.T) {
	for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			k := newKeeperIn(t, sim.Config{Nodes: 30, Seed: 1, IPv6: v6, K: 20}, Config{})
			it := mutable(t, "", 1<<62, string(ofSize(MaxValue, 1).V))
			k.mustPut(it)
			for tid := 1; tid <= 32; tid++ {
				q := getQuery(it.Target())
				q.Kind, q.HasID, q.ID, q.TID = krpc.KindQuery, true, krpc.ID{1}, bytes.Repeat([]byte("t"), tid)
				var out outbox
				k.node.Deliver(k.world.Clock.Now(), stranger, q.Append(nil), &out)
				var r krpc.Message
				if err := r.Decode(out.sent); err != nil || len(out.sent) > maxReply || len(out.sent) <= maxReply-krpc.Node6Len {
					t.Fatalf("tid of %d: %d bytes, %v; want as many nodes as fit into %d", tid, len(out.sent), err, maxReply)
				}
				if !bytes.Equal(r.V, it.V) || len(r.Nodes)/krpc.Node4Len+len(r.Nodes6)/krpc.Node6Len < 4 || r.Token == nil {
					t.Errorf("tid of %d: %+v", tid, r)
				}
			}
		})
	}
}

// Whoever asks in one family gets what was put in the other.
func TestSiblingsShareTheirItems(t *testing.T) {
	w := sim.New(sim.Config{Seed: 1})
	a, b := w.Grow(), w.Grow()
	items := New([]*kademlia.Node{a.Node, b.Node}, Config{MaxBytes: 2000})
	ka := &keeper{t: t, Items: items, world: w, node: a.Node, shelf: items.memory(0)}
	kb := &keeper{t: t, Items: items, world: w, node: b.Node, shelf: items.memory(1)}
	it := immutable(1)
	ka.mustPut(it)
	ka.wantHeld(true, it)
	kb.wantHeld(true, it)
	if len(kb.shelf.entries) != 0 || kb.Stats().MaxBytes != 2000 || kb.shelf.limits.bytes != 1000 {
		t.Error("the shelves are not of their own")
	}
}

// Whoever asks one of several nodes of a program, and then another, never sees an item
// become older.
func TestSiblingsAnswerAsOne(t *testing.T) {
	w := sim.New(sim.Config{Seed: 1})
	a, b := w.Grow(), w.Grow()
	items := New([]*kademlia.Node{a.Node, b.Node}, Config{})
	ka := &keeper{t: t, Items: items, world: w, node: a.Node, shelf: items.memory(0)}
	kb := &keeper{t: t, Items: items, world: w, node: b.Node, shelf: items.memory(1)}
	v1, v5, v6 := mutable(t, "", 1, "2:v1"), mutable(t, "", 5, "2:v5"), mutable(t, "", 6, "2:v6")
	kb.mustPut(v1)
	ka.mustPut(v5)
	kb.wantHeld(true, v5) // though its own is older
	wantError(t, kb.putWith(mutable(t, "", 3, "2:v3"), nil), krpc.CodeSeqTooOld, "")
	wantError(t, kb.putWith(mutable(t, "", 5, "5:other"), nil), krpc.CodeSeqTooOld, "")
	wantError(t, kb.putWith(v6, func(q *krpc.Message) { q.HasCas, q.Cas = true, 1 }), krpc.CodeCasMismatch, "")
	wantDone(t, kb.putWith(v6, func(q *krpc.Message) { q.HasCas, q.Cas = true, 5 }))
	ka.wantHeld(true, v6)
}

// The nodes nearest to an item hand on what strangers have put: the quota of a stranger
// is not theirs.
func TestNeighboursHaveTheRoomOfMany(t *testing.T) {
	k := newKeeperIn(t, sim.Config{Nodes: 30, Seed: 1}, Config{MaxPerIP: 1, MaxPerSubnet: 1})
	neighbour := k.world.Hosts[1].Addr
	handOn := func(it Item) *krpc.Message {
		q := k.putQuery(neighbour, it)
		ttl(time.Hour)(&q)
		return k.ask(neighbour, q)
	}
	var near, far []Item
	for i := range 300 {
		it := immutable(i)
		if k.node.IsNear(neighbour, it.Target()) {
			near = append(near, it)
		} else {
			far = append(far, it)
		}
	}
	for _, it := range near[:strangerShare] {
		wantDone(t, handOn(it))
	}
	wantError(t, handOn(near[strangerShare]), krpc.CodeServer, "too many items of your address")
	wantError(t, handOn(far[0]), krpc.CodeServer, "too many items of your address")
	k.checkBooks()
}
