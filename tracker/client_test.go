package tracker

import (
	"bytes"
	"context"
	"errors"
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

// lan connects nodes that run on goroutines, inside a synctest bubble: each
// datagram arrives 10 ms later, on a goroutine of its own.
type lan struct {
	mu    sync.Mutex
	nodes map[netip.AddrPort]*kademlia.Node
}

func (l *lan) send(from, to netip.AddrPort, b []byte) {
	b = bytes.Clone(b)
	time.AfterFunc(10*time.Millisecond, func() {
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
	outbox
	lan  *lan
	addr netip.AddrPort
}

func (p *lanPort) Send(to netip.AddrPort, b []byte) error {
	p.lan.send(p.addr, to, b)
	return nil
}
func (p *lanPort) Push(to netip.AddrPort, b []byte) { p.lan.send(p.addr, to, b) }
func (p *lanPort) LocalAddr() netip.AddrPort        { return p.addr }

// inBubble runs f with the trackers of so many joined nodes, under virtual time.
func inBubble(t *testing.T, size int, f func(t *testing.T, trackers []*Tracker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lan{nodes: map[netip.AddrPort]*kademlia.Node{}}
		var trackers []*Tracker
		for i := range size {
			addr := simnet.Addr(i)
			n, err := kademlia.NewNode(kademlia.NodeConfig{
				Transport: &lanPort{lan: l, addr: addr}, Clock: krpc.SystemClock{}, Rand: rand.New(rand.NewPCG(*seed, uint64(i))),
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
			tr := New([]*kademlia.Node{n}, Config{})
			trackers = append(trackers, tr)
			n.Start()
			tr.Start()
			defer n.Close()
			defer tr.Close()
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Minute)
		f(t, trackers)
	})
}

// announceFrom announces ih from each of trackers and returns the peers.
func announceFrom(t *testing.T, trackers []*Tracker, ih krpc.ID) (peers []netip.AddrPort) {
	t.Helper()
	for i, tr := range trackers {
		port := uint16(4000 + i)
		res, err := tr.Announce(t.Context(), ih, AnnounceOptions{Port: port})
		if err != nil || res.Stored == 0 {
			t.Fatalf("announce: %+v, %v", res, err)
		}
		peers = append(peers, netip.AddrPortFrom(tr.nodes[0].LocalAddr().Addr(), port))
	}
	return peers
}

func collect(t *testing.T, tr *Tracker, ctx context.Context, ih krpc.ID) (peers []netip.AddrPort, err error) {
	t.Helper()
	for p, e := range tr.GetPeers(ctx, ih) {
		if err != nil {
			t.Errorf("%v, %v came after the error", p, e)
		}
		if err = e; err == nil {
			peers = append(peers, p)
		}
	}
	slices.SortFunc(peers, netip.AddrPort.Compare)
	return peers, err
}

func TestGetPeersYieldsWhatWasAnnounced(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, trackers []*Tracker) {
		ih := hashOf(1)
		want := announceFrom(t, trackers[:5], ih)
		slices.SortFunc(want, netip.AddrPort.Compare)
		// Several at once, as programs do.
		var all sync.WaitGroup
		for _, tr := range trackers {
			all.Go(func() {
				if got, err := collect(t, tr, t.Context(), ih); err != nil || !slices.Equal(got, want) {
					t.Errorf("got %v, %v, want %v", got, err, want)
				}
			})
		}
		all.Wait()
		if got, err := collect(t, trackers[0], t.Context(), hashOf(2)); len(got) != 0 || err != nil {
			t.Errorf("nobody announced it: %v, %v", got, err)
		}
	})
}

func TestBreakingOutOfGetPeersStopsTheLookup(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, trackers []*Tracker) {
		announceFrom(t, trackers[:5], hashOf(1))
		for range trackers[7].GetPeers(t.Context(), hashOf(1)) {
			break
		}
		if n := trackers[7].nodes[0].Stats().ActiveLookups; n != 0 {
			t.Errorf("%d lookups go on", n)
		}
	})
}

func TestSlowConsumerHoldsUpNobody(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, trackers []*Tracker) {
		want := announceFrom(t, trackers[:5], hashOf(1))
		n := 0
		for p, err := range trackers[7].GetPeers(t.Context(), hashOf(1)) {
			if err != nil {
				t.Error(err)
			}
			if n++; n == 1 {
				time.Sleep(20 * time.Minute) // virtual
				if active := trackers[7].nodes[0].Stats().ActiveLookups; active != 0 {
					t.Errorf("%d lookups wait", active)
				}
			}
			if !slices.Contains(want, p) {
				t.Errorf("%v", p)
			}
		}
		if n != len(want) {
			t.Errorf("%d peers, want %d", n, len(want))
		}
	})
}

func TestFacadeEndsWithItsContext(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, trackers []*Tracker) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if got, err := collect(t, trackers[7], ctx, hashOf(1)); err != context.DeadlineExceeded || len(got) != 0 {
			t.Errorf("GetPeers: %v, %v", got, err)
		}
		if got, err := collect(t, trackers[7], ctx, hashOf(1)); err != context.DeadlineExceeded || len(got) != 0 {
			t.Errorf("GetPeers, too late: %v, %v", got, err)
		}
		res, err := trackers[7].Announce(ctx, hashOf(1), AnnounceOptions{Port: 1})
		if err != context.DeadlineExceeded || res.Stored != 0 {
			t.Errorf("Announce: %+v, %v", res, err)
		}
		if d := time.Since(begun); d > 5*time.Millisecond {
			t.Errorf("took %v", d)
		}
		if n := trackers[7].nodes[0].Stats().ActiveLookups; n != 0 {
			t.Errorf("%d lookups go on", n)
		}
	})
}

func TestFacadeErrors(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, trackers []*Tracker) {
		if _, err := trackers[0].Announce(t.Context(), hashOf(1), AnnounceOptions{}); err != ErrNoPort {
			t.Errorf("without port: %v", err)
		}
		trackers[1].nodes[0].Close()
		if got, err := collect(t, trackers[1], t.Context(), hashOf(1)); err != krpc.ErrClosed || len(got) != 0 {
			t.Errorf("GetPeers of a closed node: %v, %v", got, err)
		}
		if _, err := trackers[1].Announce(t.Context(), hashOf(1), AnnounceOptions{Port: 1}); !errors.Is(err, krpc.ErrClosed) {
			t.Errorf("Announce of a closed node: %v", err)
		}
	})
	inBubble(t, 1, func(t *testing.T, trackers []*Tracker) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := trackers[0].Announce(ctx, hashOf(1), AnnounceOptions{Port: 1}); !errors.Is(err, kademlia.ErrNotJoined) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without anybody to announce to: %v", err)
		}
		if _, err := collect(t, trackers[0], ctx, hashOf(1)); err == nil {
			t.Error("looked up by itself")
		}
	})
}

func TestTrackInManyGoroutines(t *testing.T) {
	inBubble(t, 6, func(t *testing.T, trackers []*Tracker) {
		tr := trackers[2]
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for i := range 100 {
					if err := tr.Track(hashOf(i), AnnounceOptions{Port: uint16(1 + g)}); err != nil {
						t.Error(err)
					}
					if i%3 == 0 {
						tr.Untrack(hashOf(i))
					}
					tr.Stats()
					time.Sleep(time.Duration(i%7) * time.Millisecond)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		if st := tr.Stats(); st.Announcing != 0 || st.Tracked != 66 || tr.announcer.Stats().Places != 0 {
			t.Errorf("stats %+v, %d lookups", st, tr.announcer.Stats().Places)
		}
	})
}
