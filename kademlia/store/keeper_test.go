package store

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
)

// keeper is a node of a small world that keeps items.
type keeper struct {
	*Items
	t     testing.TB
	world *sim.World
	node  *kademlia.Node
	shelf *memory
}

// newKeeper returns the first node of a world of so many.
func newKeeper(t testing.TB, nodes int, cfg Config) *keeper {
	t.Helper()
	return newKeeperIn(t, sim.Config{Nodes: nodes, Seed: 1}, cfg)
}

func newKeeperIn(t testing.TB, world sim.Config, cfg Config) *keeper {
	t.Helper()
	k := &keeper{t: t}
	cfg.Rand = rand.New(rand.NewPCG(1, 2))
	world.Setup = func(n *kademlia.Node) {
		if k.node == nil {
			k.node, k.Items = n, New([]*kademlia.Node{n}, cfg)
			k.shelf = k.memory(0)
		}
	}
	k.world = sim.Build(world, 200*time.Millisecond, time.Minute)
	k.Start()
	return k
}

var (
	stranger = netip.MustParseAddrPort("90.1.2.3:50000")
	owner    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
)

// outbox keeps the last datagram that was pushed.
type outbox struct {
	buf  [krpc.MaxDatagram]byte
	sent []byte
}

func (o *outbox) Buffer() []byte                  { return o.buf[:0] }
func (o *outbox) Push(_ netip.AddrPort, b []byte) { o.sent = b }

// memory returns where node i of s keeps items.
func (s *Items) memory(i int) *memory {
	if d, ok := s.shelves[i].(*durable); ok {
		return d.memory
	}
	return s.shelves[i].(*memory)
}

// ask has the keeper answer q from the given address.
func (k *keeper) ask(from netip.AddrPort, q krpc.Message) *krpc.Message {
	k.t.Helper()
	r := k.deliver(from, packetOf(q))
	if r == nil || string(r.TID) != "abcd" || r.Kind == krpc.KindReply && (!r.HasID || r.ID != k.node.ID()) {
		k.t.Fatalf("%v was answered with %+v", q.Method, r)
	}
	return r
}

// deliver delivers a datagram and returns the answer, nil if there is none.
func (k *keeper) deliver(from netip.AddrPort, packet []byte) *krpc.Message {
	k.t.Helper()
	var out outbox
	k.node.Deliver(k.world.Clock.Now(), from, packet, &out)
	if out.sent == nil {
		return nil
	}
	var r krpc.Message
	if err := r.Decode(out.sent); err != nil {
		k.t.Fatalf("%q was answered with %q: %v", packet, out.sent, err)
	}
	if most := maxReply; len(out.sent) > most || r.V == nil && len(out.sent) > krpc.MaxReply {
		k.t.Fatalf("an answer of %d bytes: %q", len(out.sent), out.sent)
	}
	return &r
}

// packetOf returns q as a datagram.
func packetOf(q krpc.Message) []byte {
	q.Kind, q.TID, q.HasID = krpc.KindQuery, []byte("abcd"), true
	q.ID = krpc.RandomID(rand.New(rand.NewPCG(9, 9)))
	return q.Append(nil)
}

func getQuery(target krpc.ID) krpc.Message {
	return krpc.Message{Method: krpc.MethodGet, HasTarget: true, Target: target}
}

func (k *keeper) get(target krpc.ID) *krpc.Message {
	k.t.Helper()
	r := k.ask(stranger, getQuery(target))
	if r.Kind != krpc.KindReply {
		k.t.Fatalf("get was refused: %d %s", r.ErrorCode, r.ErrorText)
	}
	return r
}

// putQuery returns a put of it with a token for from.
func (k *keeper) putQuery(from netip.AddrPort, it Item) krpc.Message {
	return krpc.Message{
		Method: krpc.MethodPut, Token: k.node.AppendToken(nil, from.Addr(), it.Target()),
		V: it.V, K: it.K, Salt: it.Salt, Seq: it.Seq, HasSeq: it.Mutable(), Sig: it.Sig,
	}
}

// putWith puts it, with a query changed by edit.
func (k *keeper) putWith(it Item, edit func(*krpc.Message)) *krpc.Message {
	k.t.Helper()
	q := k.putQuery(stranger, it)
	if edit != nil {
		edit(&q)
	}
	return k.ask(stranger, q)
}

func (k *keeper) mustPut(items ...Item) {
	k.t.Helper()
	for _, it := range items {
		wantDone(k.t, k.putWith(it, nil))
	}
}

func (k *keeper) mustPutFrom(from netip.AddrPort, it Item) {
	k.t.Helper()
	wantDone(k.t, k.ask(from, k.putQuery(from, it)))
}

// holds tells whether a get finds the very item.
func (k *keeper) holds(it Item) bool {
	k.t.Helper()
	r := k.get(it.Target())
	return string(r.V) == string(it.V) && string(r.K) == string(it.K) && string(r.Sig) == string(it.Sig) && r.Seq == it.Seq
}

func (k *keeper) wantHeld(held bool, items ...Item) {
	k.t.Helper()
	for _, it := range items {
		if k.holds(it) != held {
			k.t.Errorf("%v after %v: held is %v, want %v", it.Target(), k.world.Clock.Now(), !held, held)
		}
	}
}

func (k *keeper) run(d time.Duration) { k.world.Clock.Run(d) }

func wantDone(t testing.TB, r *krpc.Message) {
	t.Helper()
	if r.Kind != krpc.KindReply {
		t.Fatalf("refused: %d %s", r.ErrorCode, r.ErrorText)
	}
}

func wantError(t testing.TB, r *krpc.Message, code int64, text string) {
	t.Helper()
	if r.Kind != krpc.KindError || r.ErrorCode != code || !strings.Contains(string(r.ErrorText), text) {
		t.Errorf("answered %c %d %q, want error %d %q", r.Kind, r.ErrorCode, r.ErrorText, code, text)
	}
}

// immutable returns an immutable item of an integer.
func immutable(n int) Item { return Item{V: fmt.Appendf(nil, "i%de", n)} }

// ofSize returns an immutable item with a value of n bytes, n from 100 to 1003.
func ofSize(n, number int) Item {
	return Item{V: fmt.Appendf(nil, "%d:%0*d", n-4, n-4, number)}
}

// mutable returns an item signed by the owner.
func mutable(t testing.TB, salt string, seq int64, v string) Item {
	t.Helper()
	it, err := Sign(owner, []byte(salt), seq, []byte(v))
	if err != nil {
		t.Fatal(err)
	}
	return it
}

// sharing returns n immutable items of 500 bytes whose targets share a prefix of just
// that length with the node's id.
func (k *keeper) sharing(prefix, n int) (items []Item) {
	for i := 0; len(items) < n; i++ {
		if it := ofSize(500, i); k.node.ID().CommonPrefixLen(it.Target()) == prefix {
			items = append(items, it)
		}
	}
	return items
}

// checkBooks checks that what the shelf has booked is what it holds.
func (k *keeper) checkBooks() {
	k.t.Helper()
	s, t := k.shelf, k.t
	bytes, mutable, inRows, paid := 0, 0, 0, charges{}
	for target, e := range s.entries {
		bytes += cost(e.item)
		if e.item.Mutable() {
			mutable++
		}
		paid.add(e.from, 1)
		if e.target != target || e.item.Target() != target {
			t.Fatalf("%v is filed under %v", e.item.Target(), target)
		}
	}
	for i := range s.rows {
		inRow := 0
		for e := s.rows[i].first; e != nil; e = e.next {
			inRows++
			inRow += cost(e.item)
			if s.self.CommonPrefixLen(e.target) != i {
				t.Fatalf("%v is in row %d", e.target, i)
			}
		}
		if inRow != s.rows[i].bytes {
			t.Fatalf("row %d: booked %d bytes, held %d", i, s.rows[i].bytes, inRow)
		}
	}
	n := len(s.entries)
	if bytes != s.bytes || bytes > s.limits.bytes || mutable != s.mutable || inRows != n || len(s.expiries) != n || len(s.dues) != n {
		t.Fatalf("%d entries, %d in rows, %d and %d in queues; booked %d bytes, held %d; booked %d mutable, held %d",
			n, inRows, len(s.expiries), len(s.dues), s.bytes, bytes, s.mutable, mutable)
	}
	if fmt.Sprint(paid) != fmt.Sprint(s.charges) {
		t.Fatalf("charged %v, held %v", s.charges, paid)
	}
}
