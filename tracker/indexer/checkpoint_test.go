package indexer

import (
	"bytes"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// saved returns c as a later process reads it.
func saved(t testing.TB, c Checkpoint) Checkpoint {
	t.Helper()
	b, err := EncodeCheckpoint(c)
	if err != nil {
		t.Fatal(err)
	}
	c, err = DecodeCheckpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := EncodeCheckpoint(c)
	if err != nil || !bytes.Equal(again, b) {
		t.Fatalf("saved again it is another: %v\n%q\n%q", err, b, again)
	}
	t.Logf("a checkpoint of %d bytes", len(b))
	return c
}

// interrupted runs a sweep until it has done a part of the keyspace, and stops it.
func (w *world) interrupted(part float64, resume Checkpoint) *run {
	w.t.Helper()
	r := w.sweep(func(cfg *Config) { cfg.Resume, cfg.Rate = resume, 25 })
	if !w.Clock.RunUntil(func() bool { return r.Progress().Share > part }, time.Hour) {
		w.t.Fatalf("not there after an hour: %+v", r.Progress())
	}
	r.Stop()
	return r
}

// A sweep that is interrupted twice finds in all what one finds, and asks nobody twice
// but whose answer it was still waiting for.
func TestResumeFindsTheRest(t *testing.T) {
	w := smallWorld(t, 800, false)
	first := w.interrupted(.3, Checkpoint{})
	at := saved(t, first.Checkpoint())
	if len(at.answered) == 0 || len(at.fresh) == 0 || len(at.stale) == 0 || len(at.stale) > 30 {
		t.Fatalf("interrupted with %d answered, %d to ask, %d asked", len(at.answered), len(at.fresh), len(at.stale))
	}
	second := w.interrupted(.7, at)
	third := w.sweep(func(cfg *Config) { cfg.Resume = saved(t, second.Checkpoint()) })
	p := third.toEnd()

	share := w.foundShare(first, second, third)
	mean, most := w.asked()
	waiting := float64(len(at.stale)+len(second.Checkpoint().stale)) / float64(len(w.Hosts))
	t.Logf("%.2f%% found, %.4f queries a node for samples, %d at most, %.4f of a node waited for", 100*share, mean, most, waiting)
	if share < .99 || most > 2 || mean > 1+waiting {
		t.Error("want 99%, and nobody asked twice")
	}
	if x := float64(p.Visited) / float64(len(w.Hosts)); x < .97 || x > 1 || p.Queries < p.Visited {
		t.Errorf("the counts do not go on: %+v", p)
	}
}

// Whoever was visited may be asked again when its interval is over.
func TestResumeMuchLater(t *testing.T) {
	w := smallWorld(t, 40, false) // seven hours of many nodes take long
	first := w.interrupted(.5, Checkpoint{})
	at := saved(t, first.Checkpoint())
	w.Clock.Run(7 * time.Hour)
	w.hashes = make(map[krpc.ID]struct{}) // the others have expired
	w.store(5 * len(w.Hosts))
	second := w.sweep(func(cfg *Config) { cfg.Resume = at })
	second.toEnd()
	maps.DeleteFunc(w.hashes, func(ih krpc.ID, _ struct{}) bool { return top(ih) < at.zone.prefix })
	if share := w.foundShare(second); share < .98 {
		t.Errorf("%.2f%% found, want all from the zone on", 100*share)
	}
}

func TestResumeAtTheEnd(t *testing.T) {
	w := smallWorld(t, 30, false)
	first := w.sweep(nil)
	first.toEnd()
	at := saved(t, first.Checkpoint())
	second := w.sweep(func(cfg *Config) { cfg.Resume = at })
	w.Clock.Run(time.Second)
	if !second.ended || second.err != nil || w.sent() != uint64(first.Progress().Visited) {
		t.Errorf("the sweep that had ended went on: %v", second.err)
	}
	if again := second.Checkpoint(); !again.done {
		t.Error("the end is forgotten")
	}
}

// Before a sweep has begun there is nothing to save.
func TestCheckpointOfNothing(t *testing.T) {
	w := smallWorld(t, 1, false)
	c := saved(t, w.sweep(nil).Checkpoint())
	if c.begun {
		t.Errorf("%+v, want a zero checkpoint", c)
	}
}

// A checkpoint may be taken at any time, on any goroutine.
func TestCheckpointWhileItSweeps(t *testing.T) {
	r := smallWorld(t, 100, false).sweep(nil)
	var taker sync.WaitGroup
	ended := make(chan struct{})
	taker.Go(func() {
		for {
			if _, err := EncodeCheckpoint(r.Checkpoint()); err != nil {
				t.Error(err)
			}
			select {
			case <-ended:
				return
			default:
			}
		}
	})
	r.toEnd()
	close(ended)
	taker.Wait()
}

func TestCheckpointOverIPv6(t *testing.T) {
	w := smallWorld(t, 100, true)
	c := saved(t, w.interrupted(.5, Checkpoint{}).Checkpoint())
	if !c.v6 || len(c.answered) < 20 || !c.answered[0].Addr.Addr().Is6() {
		t.Errorf("%+v", c)
	}
}

func exampleCheckpoint() Checkpoint {
	n := func(i int) krpc.NodeInfo { return krpc.NodeInfo{ID: idAt(1<<63 | uint64(i)), Addr: simnet.Addr(i)} }
	return Checkpoint{
		begun: true, zone: zone{1 << 63, 3}, size: 4000,
		totals:   totals{queries: 5, visited: 4, hashes: 3},
		answered: []visit{{n(1), start}}, silent: []visit{{n(2), start.Add(time.Hour)}},
		fresh: []krpc.NodeInfo{n(3)}, stale: []krpc.NodeInfo{n(4)}, seeds: []krpc.NodeInfo{n(5), n(6)},
	}
}

func TestDecodeCheckpointRefuses(t *testing.T) {
	b, err := EncodeCheckpoint(exampleCheckpoint())
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, change := range map[string][2]string{
		"a newer version":     {"7:versioni1e", "7:versioni2e"},
		"a zone that is none": {"4:bitsi3e", "4:bitsi0e"},
		"too many bits":       {"4:bitsi3e", "4:bitsi99e"},
		"no family":           {"6:familyi4e", "6:familyi5e"},
		"the other one":       {"6:familyi4e", "6:familyi6e"},
		"no nodes at all":     {"4:sizei4000e", "4:sizei0e"},
		"totals missing":      {"6:totalsli5e", "6:totalsl"},
		"no bencode":          {"d", "x"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing to change in %q", name, good)
		}
		if _, err := DecodeCheckpoint([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "indexer: decode checkpoint: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// What is read is believed only as far as it makes sense, and then saved as it was.
func FuzzDecodeCheckpoint(f *testing.F) {
	for _, c := range []Checkpoint{exampleCheckpoint(), {begun: true, done: true, v6: true, size: 1}} {
		b, err := EncodeCheckpoint(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	w := smallWorld(f, 1, false)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCheckpoint(b)
		if err != nil {
			return
		}
		out, err := EncodeCheckpoint(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeCheckpoint(out)
		if err != nil {
			t.Fatalf("%q was read, %q was not: %v", b, out, err)
		}
		if twice, err := EncodeCheckpoint(again); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%q became %q", out, twice)
		}
		if c.v6 {
			return
		}
		ix, err := New(Config{Node: w.Hosts[0].Node, Rand: w.Rand, Resume: c})
		if err != nil {
			t.Fatal(err)
		}
		ix.Start()
		if p := ix.Progress(); p.Share < 0 || p.Share > 1 || p.ZoneNodes > p.MaxZoneNodes || p.NetworkSize < 0 {
			t.Errorf("%+v", p)
		}
		ix.Stop()
	})
}
