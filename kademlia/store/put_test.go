package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
)

func TestOutdatedItemsAreNotPut(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 30})
	v1, v2, rival := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2"), mutable(t, "", 2, "2:v3")
	w.mustPut(w.at(0), v2, PutOptions{})
	for _, c := range []struct {
		it   Item
		o    PutOptions
		want error
	}{
		{v1, PutOptions{}, ErrOutdated},
		{v1, PutOptions{Kind: kademlia.LookupRepublish}, ErrOutdated},
		{rival, PutOptions{}, ErrConflict},
	} {
		res, err := w.put(w.at(1), c.it, c.o)
		if err != c.want || res.Asked != 0 || res.Newer == nil || !res.Newer.same(&v2) {
			t.Errorf("put of %q: %v, %d asked, in the way %v", c.it.V, err, res.Asked, res.Newer)
		}
	}
	w.mustPut(w.at(1), v2, PutOptions{})
	w.mustPut(w.at(1), v2, PutOptions{Kind: kademlia.LookupRepublish, TTL: time.Hour})
	if len(w.holders(v2)) < 8 {
		t.Error("it was not put again")
	}
}

func TestOwnShelfSpeaksAgainstAnOutdatedPut(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 10})
	v1, v2 := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2")
	w.at(0).hold(0, v2, time.Hour)
	if _, err := w.put(w.at(0), v1, PutOptions{}); err != ErrOutdated {
		t.Errorf("ended with %v", err)
	}
}

// What nodes are asked for, and to store.
func TestPutOnTheWire(t *testing.T) {
	salted := mutable(t, "salt", 4, "2:v4")
	republished := func(ttl time.Duration) PutOptions {
		return PutOptions{Kind: kademlia.LookupRepublish, TTL: ttl}
	}
	for _, c := range []struct {
		name    string
		it      Item
		o       PutOptions
		hasSeen bool
		seen    int64
		ttl     int64 // at most; -1: none
	}{
		{"immutable", immutable(1), PutOptions{}, false, 0, -1},
		{"mutable", salted, PutOptions{}, true, 3, -1},
		{"the first version", mutable(t, "", 0, "2:v0"), PutOptions{}, false, 0, -1},
		{"republished", salted, republished(10 * time.Minute), true, 4, 599},
		{"republished for too long", salted, republished(3 * Life), true, 4, 7199},
		{"its life ends meanwhile", salted, republished(time.Millisecond), true, 4, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			it := c.it
			ss := newStubs(t, 8, it.Target(), func(int, *krpc.Message, *krpc.Message) {})
			ss.mustPut(ss.client, it, c.o)
			for _, s := range ss.list {
				get, put := &s.gets[0], &s.puts[0]
				if get.Target != it.Target() || get.HasSeq != c.hasSeen || get.HasSeq && get.Seq != c.seen {
					t.Fatalf("asked for %+v", get)
				}
				if put.Target != it.Target() || string(put.Token) != "token" || put.HasTTL != (c.ttl >= 0) || put.TTL > max(0, c.ttl) || put.TTL < c.ttl-5 || put.HasCas {
					t.Fatalf("asked to store %+v", put)
				}
				got := Item{V: put.V, K: put.K, Salt: put.Salt, Seq: put.Seq, Sig: put.Sig}
				if !got.same(&it) || got.Target() != it.Target() || put.HasSeq != it.Mutable() || (put.Salt != nil) != (len(it.Salt) > 0) {
					t.Fatalf("asked to store %+v", got)
				}
			}
		})
	}
}

func TestCasIsForThoseThatHaveAnItem(t *testing.T) {
	v := []Item{1: mutable(t, "", 1, "2:v1"), 2: mutable(t, "", 2, "2:v2"), 3: mutable(t, "", 3, "2:v3")}
	ss := newStubs(t, 8, v[1].Target(), func(i int, q, r *krpc.Message) {
		switch i {
		case 1, 2, 3:
			serve(q, r, v[i], -1)
		case 4:
			serve(q, r, Item{V: []byte("3:lie")}, -1)
		}
	})
	ss.mustPut(ss.client, v[3], PutOptions{Cas: new(int64(2))})
	for i, s := range ss.list {
		// Who is behind would refuse 2 for good, and who is not there has nothing to compare.
		if q, has := s.puts[0], i >= 1 && i <= 3; q.HasCas != has || has && q.Cas != int64(i) {
			t.Errorf("stub %d was sent cas %v %d", i, q.HasCas, q.Cas)
		}
	}
}

func TestPutThatNobodyTakes(t *testing.T) {
	it := mutable(t, "", 1, "2:v1")
	ss := newStubs(t, 8, it.Target(), func(_ int, q, r *krpc.Message) {
		if q.Method == krpc.MethodPut {
			r.ErrorCode, r.ErrorText = krpc.CodeCasMismatch, []byte("no")
		}
	})
	res, err := ss.put(ss.client, it, PutOptions{})
	var refused *krpc.Error
	if !errors.Is(err, ErrNotStored) || !errors.As(err, &refused) || refused.Code != krpc.CodeCasMismatch || res.Asked != 8 || !res.Contradicted() {
		t.Errorf("%v, %+v", err, res.StoreResult)
	}
	if _, err := ss.put(ss.client, it, PutOptions{Cas: new(int64(0))}); !errors.Is(err, ErrConflict) || !errors.As(err, &refused) {
		t.Errorf("a lost swap: %v", err)
	}
	ss.answer = func(_ int, _, r *krpc.Message) { r.Token = nil }
	if res, err := ss.put(ss.client, it, PutOptions{}); err != ErrNotStored || res.Asked != 0 || res.Contradicted() {
		t.Errorf("without tokens: %v, %+v", err, res.StoreResult)
	}
	it.Sig = nil
	if _, err := ss.put(ss.client, it, PutOptions{}); err != ErrBadSignature {
		t.Errorf("unsigned: %v", err)
	}
	ss.client.nodes[0].Close()
	if _, err := ss.put(ss.client, immutable(1), PutOptions{}); err != krpc.ErrClosed {
		t.Errorf("of a closed node: %v", err)
	}
}

func TestPutWithAnotherTokenIfTheFirstIsRefused(t *testing.T) {
	it := mutable(t, "", 1, "2:v1")
	var ss *stubs
	ss = newStubs(t, 8, it.Target(), func(i int, q, r *krpc.Message) {
		if q.Method == krpc.MethodPut && len(ss.list[i].puts) == 1 {
			r.ErrorCode = krpc.CodeProtocol
		}
	})
	ss.mustPut(ss.client, it, PutOptions{})
	for i, s := range ss.list {
		if n := len(s.gets); n != 2 || s.gets[1].Target != it.Target() || len(s.puts) != 2 {
			t.Errorf("stub %d was asked %d times for a token", i, n)
		}
	}
}

func TestStoppedPutEndsAtOnce(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 20})
	it := immutable(1)
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 5 * time.Second} {
		ended := 0
		stop := w.at(3).PutItem(it, PutOptions{}, func(res PutResult, err error) {
			if ended++; err != kademlia.ErrStopped && after < 5*time.Second {
				t.Errorf("after %v ended with %v", after, err)
			}
		})
		w.Clock.Run(after)
		stop()
		stop()
		if ended != 1 {
			t.Errorf("after %v the result came %d times", after, ended)
		}
	}
	ss := newStubs(t, 8, it.Target(), func(_ int, q, r *krpc.Message) {
		if q.Method == krpc.MethodPut {
			r.Kind = 0
		}
	})
	var got error
	stop := ss.client.PutItem(it, PutOptions{}, func(res PutResult, err error) { got = err })
	ss.Clock.RunUntil(func() bool { return len(ss.puts()) == 8 }, time.Minute)
	if stop(); got != kademlia.ErrStopped {
		t.Errorf("while storing: %v", got)
	}
}

// Two who put the same version at once: each node takes the first, and both are told.
func TestRacingPutsAreContradicted(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 30})
	a, b := mutable(t, "", 1, "1:a"), mutable(t, "", 1, "1:b")
	var results []PutResult
	for i, it := range []Item{a, b} {
		w.at(i).PutItem(it, PutOptions{}, func(res PutResult, _ error) { results = append(results, res) })
	}
	if !w.Clock.RunUntil(func() bool { return len(results) == 2 }, time.Minute) {
		t.Fatal("the puts have not ended after a minute")
	}
	stored := results[0].Stored + results[1].Stored
	if stored < 8 || !slices.ContainsFunc(results, func(r PutResult) bool { return r.Contradicted() }) {
		t.Errorf("%d stored, %+v", stored, results)
	}
}

// All who put an item ask the same nodes, those that are such nodes themselves included.
func TestWhoIsAmongTheClosestKeepsTheItemToo(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 30})
	v1, v2 := mutable(t, "", 1, "2:v1"), mutable(t, "", 2, "2:v2")
	closest := w.Closest(v1.Target(), 8)
	at := func(i int) *Items {
		return w.at(slices.IndexFunc(w.Hosts, func(h *sim.Host) bool { return h.ID() == closest[i].ID }))
	}
	w.mustPut(at(7), v1, PutOptions{})
	w.mustPut(at(0), v2, PutOptions{Cas: new(int64(1))})
	for i := range closest {
		if !at(i).held(0, v2.Target()).equals(&v2) {
			t.Errorf("the closest but %d lacks the item", i)
		}
	}
	if n := len(w.holders(v2)); n != 8 {
		t.Errorf("%d nodes have the item", n)
	}
}

// With k = 1 the node that puts may be the nearest itself: the other one is asked yet.
func TestPutWithBucketsOfOne(t *testing.T) {
	w := newWorld(t, sim.Config{Nodes: 6, K: 1})
	for i := range 40 {
		if res, err := w.put(w.at(i%6), immutable(i), PutOptions{}); err != nil {
			t.Fatalf("item %d: %v, %+v", i, err, res.StoreResult)
		}
	}
}

func TestConfigIsPutRight(t *testing.T) {
	c := Config{MaxBytes: -1, MaxPerIP: -1, MaxKept: -1, KeepInterval: -time.Hour}.withDefaults()
	if c.MaxBytes != 64<<20 || c.MaxPerIP != 1024 || c.MaxKept != 10_000 || c.KeepInterval != time.Hour {
		t.Errorf("%+v", c)
	}
	// An interval is late by a part of itself, and nobody may forget the item meanwhile.
	if c := (Config{KeepInterval: Life}).withDefaults(); c.KeepInterval != Life/2 {
		t.Errorf("keeps every %v", c.KeepInterval)
	}
}
