package store

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/journal"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

var (
	epoch    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	listened = netip.MustParseAddrPort("192.0.2.1:6881")
)

func TestMemoryIsAShelf(t *testing.T) {
	testShelf(t, func(_ testing.TB, l limits) shelf { return newMemory(&l, rand.New(rand.NewPCG(1, 2))) })
}

func TestDurableIsAShelf(t *testing.T) {
	testShelf(t, func(t testing.TB, l limits) shelf {
		return newDurable(newMemory(&l, rand.New(rand.NewPCG(1, 2))), startedJournal(t), listened)
	})
}

// startedJournal returns a journal of no states that records.
func startedJournal(t testing.TB) *journal.Log {
	t.Helper()
	log := journal.New(journal.Config{
		FS: journal.Dir(t.TempDir()), Now: func() time.Time { return epoch }, Rand: rand.New(rand.NewPCG(3, 4)),
		Log: slog.New(slog.DiscardHandler),
	})
	if err := log.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// testShelf holds a shelf to what Items needs of it. made returns an empty one.
func testShelf(t *testing.T, made func(testing.TB, limits) shelf) {
	room := limits{bytes: 1 << 20, perIP: 2, perSubnet: 3, k: 8}
	for name, scenario := range map[string]func(*reader){
		"what is put is got":                      (*reader).putsAndGets,
		"a put is only weighed until verified":    (*reader).weighs,
		"versions and cas":                        (*reader).versions,
		"a key that is a value":                   (*reader).keyAndValue,
		"what is put again lives on":              (*reader).refreshes,
		"a life of none is ignored":               (*reader).ignores,
		"life ends":                               (*reader).expires,
		"an expired version is forgotten":         (*reader).forgets,
		"addresses and networks have their share": (*reader).charges,
		"items come due":                          (*reader).comesDue,
		"a put puts off what is due":              (*reader).putsOff,
		"what is near":                            (*reader).near,
	} {
		t.Run(name, func(t *testing.T) {
			scenario(&reader{T: t, shelf: made(t, room), now: epoch})
		})
	}
	full := room
	full.bytes = int(roomFor(4))
	for name, scenario := range map[string]func(*reader){
		"the far give way to the near": (*reader).evicts,
		"shares come back":             (*reader).discharges,
		"figures":                      (*reader).figures,
	} {
		t.Run(name, func(t *testing.T) { scenario(&reader{T: t, shelf: made(t, full), now: epoch}) })
	}
	t.Run("all at once", func(t *testing.T) { testShelfInManyGoroutines(t, made(t, limits{50_000, 20, 50, 8})) })
}

// reader puts items on a shelf and gets them, as time goes by.
type reader struct {
	*testing.T
	shelf shelf
	self  krpc.ID // of the node
	now   time.Time
}

// offered is how items are offered: by nobody in particular, for a Life.
type offered struct {
	life time.Duration
	from payer
	cas  *int64
}

// weigh offers an item that may not be genuine.
func (r *reader) weigh(it Item, how offered) (outcome, *krpc.Error) { return r.take(it, how, nil) }

func (r *reader) take(it Item, how offered, verified *Item) (outcome, *krpc.Error) {
	o := offer{item: it, target: it.Target(), life: how.life, from: how.from, self: r.self, now: r.now}
	if o.life == 0 {
		o.life = Life
	}
	if o.hasCas = how.cas != nil; o.hasCas {
		o.cas = *how.cas
	}
	return r.shelf.take(o, verified)
}

// offer puts an item as a node does: it is verified if the shelf would store it.
func (r *reader) offer(it Item, how offered) (outcome, *krpc.Error) {
	what, err := r.weigh(it, how)
	if err == nil && what == unverified {
		what, err = r.take(it, how, it.clone())
	}
	return what, err
}

func (r *reader) put(want outcome, it Item, how offered) {
	r.Helper()
	if what, err := r.offer(it, how); what != want || err != nil {
		r.Errorf("put of %.20s, seq %d: %v, %v; want %v", it.V, it.Seq, what, err, want)
	}
}

func (r *reader) refused(want *krpc.Error, it Item, how offered) {
	r.Helper()
	if what, err := r.offer(it, how); err != want {
		r.Errorf("put of %.20s, seq %d: %v, %v; want %v", it.V, it.Seq, what, err, want)
	}
}

// holds checks that the very items are held for so long yet.
func (r *reader) holds(left time.Duration, items ...Item) {
	r.Helper()
	for _, it := range items {
		held, l, ok := r.shelf.get(it.Target(), r.now)
		if !ok || !held.same(&it) || string(held.K) != string(it.K) || string(held.Salt) != string(it.Salt) || l != left {
			r.Errorf("of %.20s, seq %d: held %v for %v (%v); want it for %v", it.V, it.Seq, held != nil, l, ok, left)
		}
	}
}

func (r *reader) lacks(items ...Item) {
	r.Helper()
	for _, it := range items {
		if held, left, ok := r.shelf.get(it.Target(), r.now); ok || held != nil || left != 0 {
			r.Errorf("%.20s is held: %v, for %v", it.V, ok, left)
		}
	}
}

// sharing returns n items of 500 bytes whose targets share so many bits with the node's id.
func (r *reader) sharing(prefix, n int) (items []Item) {
	for i := 0; len(items) < n; i++ {
		if it := ofSize(500, i); r.self.CommonPrefixLen(it.Target()) == prefix {
			items = append(items, it)
		}
	}
	return items
}

func (r *reader) putsAndGets() {
	a, b, c := immutable(1), mutable(r, "", 7, "i1e"), mutable(r, "salt", 0, "i2e")
	if !r.shelf.empty() {
		r.Error("a new shelf is not empty")
	}
	r.lacks(a, b, c)
	r.put(stored, a, offered{})
	r.put(stored, b, offered{life: time.Minute})
	r.put(stored, c, offered{from: payer{stranger.Addr(), strangerShare}})
	r.holds(Life, a, c)
	r.holds(time.Minute, b)
	if r.shelf.empty() {
		r.Error("a shelf with items is empty")
	}
}

func (r *reader) weighs() {
	it := mutable(r, "", 5, "4:held")
	if what, err := r.weigh(it, offered{}); what != unverified || err != nil {
		r.Errorf("%v, %v", what, err)
	}
	r.lacks(it)
	r.put(stored, it, offered{life: time.Minute})
	forged := it
	forged.Sig = make([]byte, 64)
	if what, err := r.weigh(forged, offered{}); what != unverified || err != nil {
		r.Errorf("with another signature: %v, %v", what, err)
	}
	r.holds(time.Minute, it)
	if what, err := r.weigh(it, offered{}); what != refreshed || err != nil {
		r.Errorf("the very item: %v, %v", what, err)
	}
	r.holds(Life, it)
}

func (r *reader) versions() {
	seq := func(n int64) *int64 { return &n }
	v1, v3, v4 := mutable(r, "", 1, "2:v1"), mutable(r, "", 3, "2:v3"), mutable(r, "", 4, "2:v4")
	r.put(stored, v1, offered{cas: seq(9)}) // there is nothing to compare with
	r.put(stored, v3, offered{})
	r.refused(errSeqTooOld, v1, offered{})
	r.refused(errSeqTooOld, mutable(r, "", 3, "5:other"), offered{})
	r.refused(errCasMismatch, v4, offered{cas: seq(1)})
	r.refused(errCasMismatch, v1, offered{cas: seq(1)}) // before its seq counts
	r.holds(Life, v3)
	r.put(stored, v4, offered{cas: seq(3), life: time.Minute})
	r.holds(Life, v4) // the longer life
	r.put(stored, mutable(r, "salt", 1, "2:v1"), offered{})
	r.holds(Life, v4, mutable(r, "salt", 1, "2:v1"))
}

func (r *reader) keyAndValue() {
	value := Item{V: []byte("29:01234567890123456789012345678")}
	r.put(stored, value, offered{})
	r.refused(errSeqTooOld, Item{V: []byte("i1e"), K: value.V, Seq: 1, Sig: make([]byte, 64)}, offered{})
	r.holds(Life, value)
}

func (r *reader) refreshes() {
	it := mutable(r, "", 1, "i1e")
	r.put(stored, it, offered{life: 10 * time.Minute})
	r.now = r.now.Add(5 * time.Minute)
	r.put(refreshed, it, offered{life: time.Minute})
	r.holds(5*time.Minute, it)
	r.put(refreshed, it, offered{life: 20 * time.Minute})
	r.holds(20*time.Minute, it)
	for range 5 {
		r.now = r.now.Add(15 * time.Minute)
		r.put(refreshed, it, offered{life: 20 * time.Minute})
	}
	r.holds(20*time.Minute, it)
}

func (r *reader) ignores() {
	v1 := mutable(r, "", 1, "i1e")
	r.put(ignored, v1, offered{life: -1})
	r.lacks(v1)
	r.put(stored, v1, offered{})
	r.put(ignored, mutable(r, "", 2, "i2e"), offered{life: -time.Hour})
	r.put(ignored, v1, offered{life: -time.Hour})
	r.holds(Life, v1)
}

func (r *reader) expires() {
	a, b := immutable(1), immutable(2)
	r.put(stored, a, offered{life: time.Minute})
	r.put(stored, b, offered{life: time.Hour})
	r.now = r.now.Add(time.Minute - 1)
	r.holds(1, a)
	r.now = r.now.Add(1)
	r.lacks(a)
	r.holds(59*time.Minute, b)
	if next := r.shelf.sweep(r.now); !next.After(r.now) {
		r.Errorf("swept, and to be again at %v", next)
	}
	r.now = r.now.Add(time.Hour)
	r.shelf.sweep(r.now)
	r.lacks(a, b)
	if !r.shelf.empty() {
		r.Error("not empty when all has expired")
	}
}

func (r *reader) forgets() {
	r.put(stored, mutable(r, "", 7, "i7e"), offered{life: time.Minute})
	r.now = r.now.Add(time.Minute)
	r.put(stored, mutable(r, "", 1, "i1e"), offered{})
	r.holds(Life, mutable(r, "", 1, "i1e"))
}

// There is room for four items.
func (r *reader) evicts() {
	far, near, nearest := r.sharing(0, 4), r.sharing(1, 2), r.sharing(2, 1)
	then := func(want outcome, it Item) {
		r.put(want, it, offered{})
		r.now = r.now.Add(time.Second)
	}
	for _, it := range far[:3] {
		then(stored, it)
	}
	then(stored, near[0])
	then(refreshed, far[0]) // so that the second is the oldest
	r.refused(errFull, far[3], offered{})
	then(stored, nearest[0])
	r.lacks(far[1])
	then(stored, near[1])
	r.lacks(far[2])
	then(refreshed, far[0]) // there is always room for that
	// To another id of the node the near are far.
	r.self[0] = 0xff
	it := r.sharing(8, 1)[0]
	then(stored, it)
	r.lacks(near[0])
	r.holds(Life-time.Second, it)
	r.holds(Life-2*time.Second, far[0])
	r.holds(Life-3*time.Second, near[1])
	r.holds(Life-4*time.Second, nearest[0])
}

// An address has room for two items, a network for three.
func (r *reader) charges() {
	from := func(ip string, share int32) offered {
		return offered{from: payer{netip.MustParseAddr(ip), share}}
	}
	const neighbour = 1 // sixteen count as one
	r.put(stored, immutable(1), from("90.1.2.3", strangerShare))
	for n := range strangerShare {
		r.put(stored, immutable(100+n), from("90.1.2.3", neighbour))
	}
	r.refused(errIPFull, immutable(2), from("90.1.2.3", neighbour))
	r.put(stored, immutable(2), from("90.1.2.4", strangerShare))
	r.refused(errSubnetFull, immutable(3), from("90.1.2.4", neighbour))
	r.put(refreshed, immutable(2), from("90.1.2.3", strangerShare)) // charged to who was first
	r.put(stored, immutable(3), from("90.1.3.4", strangerShare))
	r.put(stored, immutable(4), from("2a01:1:2:3::1", strangerShare))
	r.put(stored, immutable(5), from("2a01:1:2:3::2", strangerShare))
	r.put(stored, immutable(6), from("2a01:1:2:3::3", strangerShare))
	r.refused(errSubnetFull, immutable(7), from("2a01:1:2:3::4", strangerShare))
	r.put(stored, immutable(7), offered{}) // nobody pays
}

// There is room for four items, and for two of one address.
func (r *reader) discharges() {
	who := payer{stranger.Addr(), strangerShare}
	short, next := r.sharing(3, 1)[0], r.sharing(2, 3)
	r.put(stored, r.sharing(0, 1)[0], offered{from: who})
	r.put(stored, short, offered{from: who, life: time.Minute})
	r.refused(errIPFull, next[0], offered{from: who})
	for _, it := range r.sharing(1, 3) {
		r.put(stored, it, offered{}) // the third one in place of what is far
	}
	r.put(stored, next[0], offered{from: who})
	r.refused(errIPFull, next[1], offered{from: who})
	r.now = r.now.Add(time.Minute)
	r.lacks(short)
	r.put(stored, next[1], offered{from: who})
	r.refused(errIPFull, next[2], offered{from: who})
}

func (r *reader) comesDue() {
	if _, next, ok := r.shelf.takeDue(r.now); ok || !next.IsZero() {
		r.Error("an empty shelf has something due")
	}
	items := []Item{immutable(1), immutable(2), immutable(3)}
	for _, it := range items {
		r.put(stored, it, offered{})
	}
	_, next, ok := r.shelf.takeDue(r.now)
	if wait := next.Sub(r.now); ok || wait < republishMin || wait > republishMin+republishSpread {
		r.Errorf("due in %v, %v", wait, ok)
	}
	r.now = r.now.Add(republishMin + republishSpread)
	due := map[krpc.ID]bool{}
	for range items {
		target, _, ok := r.shelf.takeDue(r.now)
		due[target] = ok
	}
	if _, next, ok := r.shelf.takeDue(r.now); ok || next.Sub(r.now) < republishMin {
		r.Errorf("a fourth one is due, or one soon again: %v", next)
	}
	for _, it := range items {
		if !due[it.Target()] {
			r.Errorf("%s was not due", it.V)
		}
	}
	r.now = epoch.Add(Life)
	if target, _, ok := r.shelf.takeDue(r.now); ok {
		r.Errorf("%v is due, and has expired", target)
	}
}

func (r *reader) putsOff() {
	it, other := immutable(1), immutable(2)
	r.put(stored, it, offered{})
	r.now = r.now.Add(20 * time.Minute)
	r.put(refreshed, it, offered{})
	if _, next, ok := r.shelf.takeDue(r.now.Add(republishMin - 1)); ok || next.Sub(r.now) < republishMin {
		r.Errorf("due at %v, though it was put again", next)
	}
	r.shelf.putOff(it.Target(), r.now.Add(time.Minute))
	r.shelf.putOff(other.Target(), r.now)
	if target, _, ok := r.shelf.takeDue(r.now.Add(time.Minute)); !ok || target != it.Target() {
		r.Errorf("%v, %v is due; want what was put off until then", target, ok)
	}
}

func (r *reader) near() {
	for prefix, n := range []int{1, 2, 1} {
		for _, it := range r.sharing(prefix, n) {
			r.put(stored, it, offered{})
		}
	}
	for prefix, want := range []int{4, 3, 1, 0} {
		targets := r.shelf.within(prefix)
		if len(targets) != want {
			r.Errorf("%d items share %d bits, want %d", len(targets), prefix, want)
		}
		for _, target := range targets {
			if r.self.CommonPrefixLen(target) < prefix {
				r.Errorf("%v does not share %d bits", target, prefix)
			}
		}
	}
}

func (r *reader) figures() {
	far := r.sharing(0, 3)
	for _, it := range far {
		r.put(stored, it, offered{life: time.Minute})
	}
	r.put(stored, mutable(r, "", 1, "i1e"), offered{life: time.Minute})
	r.put(stored, r.sharing(2, 1)[0], offered{})
	var st Stats
	r.shelf.addTo(&st)
	if st.Immutable != 3 || st.Mutable != 1 || st.Evicted != 1 || st.Expired != 0 || st.Bytes == 0 || st.Bytes > roomFor(4) {
		r.Errorf("stats %+v", st)
	}
	r.now = r.now.Add(Life)
	r.shelf.sweep(r.now)
	st = Stats{Bytes: 1}
	r.shelf.addTo(&st)
	if st.Immutable != 0 || st.Mutable != 0 || st.Evicted != 1 || st.Expired != 4 || st.Bytes != 1 {
		r.Errorf("stats %+v", st)
	}
}

func testShelfInManyGoroutines(t *testing.T, s shelf) {
	var all sync.WaitGroup
	for g := range uint64(4) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(g, 1))
			r := &reader{T: t, shelf: s}
			for i := range 1000 {
				r.now = epoch.Add(time.Duration(i) * 10 * time.Second)
				it := immutable(rng.IntN(300))
				r.offer(it, offered{from: payer{simnet.Addr(int(g)).Addr(), strangerShare}})
				if held, _, ok := s.get(it.Target(), r.now); ok && !held.same(&it) {
					t.Errorf("got %s, want %s", held.V, it.V)
				}
				s.takeDue(r.now)
				s.putOff(it.Target(), r.now)
				s.within(i % 5)
				s.empty()
				if i%100 == 0 {
					s.sweep(r.now)
					s.addTo(new(Stats))
				}
			}
		})
	}
	all.Wait()
}
