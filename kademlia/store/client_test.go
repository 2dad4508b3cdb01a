package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// lan connects nodes that run on goroutines, inside a synctest bubble: each datagram
// arrives some 10 to 60 ms later, on a goroutine of its own.
type lan struct {
	mu    sync.Mutex
	rng   *rand.Rand
	nodes map[netip.AddrPort]*kademlia.Node
}

func (l *lan) send(from, to netip.AddrPort, b []byte) {
	b = bytes.Clone(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	time.AfterFunc(10*time.Millisecond+time.Duration(l.rng.Int64N(int64(50*time.Millisecond))), func() {
		l.mu.Lock()
		n := l.nodes[to]
		l.mu.Unlock()
		if n != nil {
			n.Deliver(time.Now(), from, b, &lanPort{lan: l, addr: to})
		}
	})
}

// lanPort is a node's end of the lan.
type lanPort struct {
	lan  *lan
	addr netip.AddrPort
	buf  [krpc.MaxDatagram]byte
}

func (p *lanPort) Send(to netip.AddrPort, b []byte) error {
	p.lan.send(p.addr, to, b)
	return nil
}
func (p *lanPort) Buffer() []byte                   { return p.buf[:0] }
func (p *lanPort) Push(to netip.AddrPort, b []byte) { p.lan.send(p.addr, to, b) }
func (p *lanPort) LocalAddr() netip.AddrPort        { return p.addr }

// inBubble runs f with the items of so many joined nodes, under virtual time. setup is
// called for each node before it starts.
func inBubble(t *testing.T, size int, f func(t *testing.T, items []*Items), setup ...func(i int, n *kademlia.Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lan{nodes: map[netip.AddrPort]*kademlia.Node{}, rng: rand.New(rand.NewPCG(1, 0))}
		var items []*Items
		for i := range size {
			addr := simnet.Addr(i)
			n, err := kademlia.NewNode(kademlia.NodeConfig{
				Transport: &lanPort{lan: l, addr: addr}, Clock: krpc.SystemClock{}, Rand: rand.New(rand.NewPCG(1, uint64(i))),
				Bootstrap: func(done func([]netip.AddrPort, error)) {
					time.AfterFunc(0, func() { done([]netip.AddrPort{simnet.Addr(0)}, nil) })
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			l.mu.Lock()
			l.nodes[addr] = n
			l.mu.Unlock()
			s := New([]*kademlia.Node{n}, Config{Rand: rand.New(rand.NewPCG(2, uint64(i)))})
			items = append(items, s)
			for _, f := range setup {
				f(i, n)
			}
			n.Start()
			s.Start()
			defer n.Close()
			defer s.Close()
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Minute)
		f(t, items)
	})
}

func TestPutThenGet(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, items []*Items) {
		for _, it := range []Item{immutable(1), mutable(t, "salt", 7, "2:hi")} {
			if res, err := items[1].Put(t.Context(), it, PutOptions{}); err != nil || res.Stored != 8 {
				t.Fatalf("put: %+v, %v", res, err)
			}
			var all sync.WaitGroup
			for _, s := range items {
				all.Go(func() {
					res, err := s.Get(t.Context(), it.Target(), GetOptions{Salt: it.Salt})
					if err != nil || !res.Found || !res.Item.same(&it) {
						t.Errorf("got %+v, %v", res, err)
					}
				})
			}
			all.Wait()
		}
	})
}

func TestGetAndPutErrors(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, items []*Items) {
		s, v2 := items[1], mutable(t, "", 2, "2:v2")
		target := v2.Target()
		if _, err := s.Get(t.Context(), target, GetOptions{}); err != ErrNotFound {
			t.Errorf("nobody has put it: %v", err)
		}
		if _, err := s.Put(t.Context(), v2, PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if res, err := s.Get(t.Context(), target, GetOptions{Seen: new(int64(1))}); err != nil || !res.Item.same(&v2) {
			t.Errorf("newer than 1: %+v, %v", res, err)
		}
		if _, err := s.Get(t.Context(), target, GetOptions{Seen: new(int64(2))}); err != ErrNotNewer {
			t.Errorf("newer than 2: %v", err)
		}
		if res, err := s.Put(t.Context(), mutable(t, "", 1, "2:v1"), PutOptions{}); err != ErrOutdated || !res.Newer.same(&v2) {
			t.Errorf("put of an older one: %+v, %v", res, err)
		}
		if _, err := s.Put(t.Context(), Item{V: []byte("spam")}, PutOptions{}); err != ErrNotCanonical {
			t.Errorf("put of no bencode: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := s.Get(ctx, target, GetOptions{}); err != context.DeadlineExceeded {
			t.Errorf("get without time: %v", err)
		}
		if _, err := s.Put(ctx, v2, PutOptions{}); err != context.DeadlineExceeded {
			t.Errorf("put without time: %v", err)
		}
		if d := time.Since(begun); d > 5*time.Millisecond {
			t.Errorf("took %v", d)
		}
		s.nodes[0].Close()
		if _, err := s.Get(t.Context(), target, GetOptions{}); err != krpc.ErrClosed && err != nil {
			t.Errorf("get of a closed node: %v", err)
		}
		if _, err := s.Put(t.Context(), v2, PutOptions{}); err != krpc.ErrClosed {
			t.Errorf("put of a closed node: %v", err)
		}
	})
	inBubble(t, 1, func(t *testing.T, items []*Items) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := items[0].Get(ctx, krpc.ID{1}, GetOptions{}); !errors.Is(err, kademlia.ErrNotJoined) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("get without anybody to ask: %v", err)
		}
		if _, err := items[0].Put(ctx, immutable(1), PutOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("put without anybody to ask: %v", err)
		}
	})
}

// to returns a change to the value v, and where it notes what it was given.
func to(v string) (change func(old *Item) ([]byte, error), given *[]string) {
	given = new([]string)
	return func(old *Item) ([]byte, error) {
		if old == nil {
			*given = append(*given, "")
		} else {
			*given = append(*given, string(old.V))
		}
		return []byte(v), nil
	}, given
}

func TestUpdate(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, items []*Items) {
		salt := []byte("salt")
		for i, c := range []struct {
			v, given string
			seq      int64
		}{{"2:v1", "", 1}, {"2:v2", "2:v1", 2}, {"2:v2", "2:v2", 2}, {"2:v3", "2:v2", 3}} {
			change, given := to(c.v)
			it, res, err := items[i].Update(t.Context(), owner, salt, change)
			if err != nil || res.Stored != 8 || string(it.V) != c.v || it.Seq != c.seq || len(*given) != 1 || (*given)[0] != c.given {
				t.Errorf("%d: %q, seq %d, stored %d, %v; was given %q", i, it.V, it.Seq, res.Stored, err, *given)
			}
		}
	})
}

func TestUpdateErrors(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, items []*Items) {
		no := errors.New("no")
		if _, _, err := items[1].Update(t.Context(), owner, nil, func(*Item) ([]byte, error) { return nil, no }); err != no {
			t.Errorf("change refuses: %v", err)
		}
		change, _ := to("spam")
		if _, _, err := items[1].Update(t.Context(), owner, nil, change); err != ErrNotCanonical {
			t.Errorf("change makes no bencode: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if _, _, err := items[1].Update(ctx, owner, nil, change); err != context.DeadlineExceeded {
			t.Errorf("without time: %v", err)
		}
	})
}

// Somebody changes the item between each get and put.
func TestUpdateGivesUpInTheEnd(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, items []*Items) {
		calls := 0
		_, _, err := items[1].Update(t.Context(), owner, nil, func(old *Item) ([]byte, error) {
			if calls++; calls%2 == 1 {
				change, _ := to(fmt.Sprintf("i%de", calls))
				if _, _, err := items[2].Update(t.Context(), owner, nil, change); err != nil {
					t.Error(err)
				}
			} else {
				it := mutable(t, "", int64(calls), fmt.Sprintf("i%de", calls))
				items[3].Put(t.Context(), it, PutOptions{})
			}
			return []byte("4:mine"), nil
		})
		if err != ErrContended || calls != maxUpdates {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// A node that refuses everything as outdated keeps nobody from an update.
func TestUpdateDespiteALiar(t *testing.T) {
	const liar = 5
	refuse := func(i int, n *kademlia.Node) {
		if i == liar {
			n.Handle(krpc.MethodPut, func(*kademlia.Node, *krpc.Request) error { return errSeqTooOld })
		}
	}
	inBubble(t, 20, func(t *testing.T, items []*Items) {
		salt := saltNear(items, liar)
		for i := range 3 {
			change, _ := to(fmt.Sprintf("i%de", i))
			it, res, err := items[i].Update(t.Context(), owner, salt, change)
			if err != nil || it.Seq != int64(i+1) || res.Stored != 7 || !res.Contradicted() {
				t.Errorf("%d: seq %d, stored %d, %v", i, it.Seq, res.Stored, err)
			}
		}
	}, refuse)
}

// saltNear returns a salt with which the owner's item belongs to node i above all.
func saltNear(items []*Items, i int) []byte {
	for n := 0; ; n++ {
		salt := fmt.Append(nil, n)
		target := MutableTarget(owner.Public().(ed25519.PublicKey), salt)
		if !slices.ContainsFunc(items, func(s *Items) bool {
			return krpc.CompareDistance(s.nodes[0].ID(), items[i].nodes[0].ID(), target) < 0
		}) {
			return salt
		}
	}
}

// counter is a value with a number for each writer, so that to add one twice does no harm.
type counter map[string]int

func (c counter) encode(writers int) []byte {
	b := []byte("d")
	for w := range writers {
		if n, ok := c[fmt.Sprint("w", w)]; ok {
			b = fmt.Appendf(b, "2:w%di%de", w, n)
		}
	}
	return append(b, 'e')
}

func decodeCounter(t *testing.T, old *Item) counter {
	c := counter{}
	if old == nil {
		return c
	}
	for b := bytes.TrimSuffix(old.V[1:], []byte("e")); len(b) > 0; {
		var w, n int
		if _, err := fmt.Sscanf(string(b), "2:w%di%de", &w, &n); err != nil {
			t.Errorf("%q: %v", old.V, err)
			return c
		}
		c[fmt.Sprint("w", w)] = n
		b = b[bytes.IndexByte(b, 'e')+1:]
	}
	return c
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	const writers, increments = 10, 3
	inBubble(t, 30, func(t *testing.T, items []*Items) {
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				name := fmt.Sprint("w", w)
				for n := 1; n <= increments; n++ {
					_, _, err := items[2*w].Update(t.Context(), owner, nil, func(old *Item) ([]byte, error) {
						c := decodeCounter(t, old)
						c[name] = n
						return c.encode(writers), nil
					})
					if err != nil {
						t.Errorf("%s, increment %d: %v", name, n, err)
					}
				}
			})
		}
		all.Wait()
		res, err := items[29].Get(t.Context(), MutableTarget(owner.Public().(ed25519.PublicKey), nil), GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, n := range decodeCounter(t, &res.Item) {
			sum += n
		}
		if sum != writers*increments {
			t.Errorf("counted %d increments of %d: %s", sum, writers*increments, res.Item.V)
		}
		t.Logf("%d versions", res.Item.Seq)
	})
}
