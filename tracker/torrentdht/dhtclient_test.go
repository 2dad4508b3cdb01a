package torrentdht

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/bep44"
	"github.com/anacrolix/dht/v2/exts/getput"
	"github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/torrent/bencode"

	"github.com/kadnode/kadnode/e2e/e2etest"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/tracker"
)

// TestDHTClient has nodes of ours serve the client github.com/anacrolix/dht. It answers
// no queries, so that what it finds is what our nodes keep.
func TestDHTClient(t *testing.T) {
	e2etest.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ours := startNodes(t, ctx, 6)
	theirs := startClient(t, ours[2].addr())
	t.Run("immutable items", func(t *testing.T) {
		testTheyPut(t, ctx, ours[4], theirs, bep44.Put{V: rand.Text()})
		testTheyPut(t, ctx, ours[4], theirs, bep44.Put{V: newLongest()})
		it, err := store.Immutable(bencode.MustMarshal(newLongest()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ours[1].items.Put(ctx, it, store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		mustGet(t, ctx, theirs, it)
	})
	t.Run("mutable items", func(t *testing.T) { testMutable(t, ctx, ours, theirs, nil) })
	t.Run("mutable items with a salt", func(t *testing.T) { testMutable(t, ctx, ours, theirs, []byte("salt\x00")) })
	t.Run("compare and swap", func(t *testing.T) { testSwap(t, ctx, ours[3]) })
	t.Run("peers", func(t *testing.T) { testPeers(t, ctx, ours, theirs) })
}

// newLongest returns the longest string that an item can hold.
func newLongest() []byte {
	b := make([]byte, 1000-len("996:"))
	rand.Read(b)
	return b
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// startClient starts a client that joins through a node.
func startClient(t *testing.T, node netip.AddrPort) *dht.Server {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := dht.NewDefaultServerConfig()
	cfg.Conn, cfg.Passive = conn, true
	cfg.StartingNodes = func() ([]dht.Addr, error) { return []dht.Addr{theirAddr(node)}, nil }
	s, err := dht.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func theirAddr(a netip.AddrPort) dht.Addr { return dht.NewAddr(net.UDPAddrFromAddrPort(a)) }

// testTheyPut has them put an item, and us and them find it.
func testTheyPut(t *testing.T, ctx context.Context, ours *node, theirs *dht.Server, put bep44.Put) {
	t.Helper()
	want := store.Item{V: bencode.MustMarshal(put.V), Salt: put.Salt, Seq: put.Seq}
	if put.K != nil {
		want.K, want.Sig = put.K[:], put.Sig[:]
	}
	if _, err := getput.Put(ctx, put.Target(), theirs, put.Salt, func(int64) bep44.Put { return put }); err != nil {
		t.Fatal(err)
	}
	res, err := ours.items.Get(ctx, put.Target(), store.GetOptions{Salt: put.Salt})
	if err != nil {
		t.Fatal(err)
	}
	if got := &res.Item; string(got.V) != string(want.V) || got.Seq != want.Seq || string(got.Sig) != string(want.Sig) {
		t.Fatalf("we found %+v, want %+v", got, want)
	}
	mustGet(t, ctx, theirs, want)
}

// mustGet fails t unless they find want.
func mustGet(t *testing.T, ctx context.Context, theirs *dht.Server, want store.Item) {
	t.Helper()
	got, _, err := getput.Get(ctx, want.Target(), theirs, nil, want.Salt)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.V) != string(want.V) || got.Mutable != want.Mutable() || got.Mutable && got.Seq != want.Seq {
		t.Fatalf("they found %+v, want %+v", got, want)
	}
}

// testMutable has them and us replace one another's versions of an item.
func testMutable(t *testing.T, ctx context.Context, ours []*node, theirs *dht.Server, salt []byte) {
	key := newKey(t)
	for _, seq := range []int64{1, 3} {
		item, err := bep44.NewItem(newLongest(), salt, seq, 0, key)
		if err != nil {
			t.Fatal(err)
		}
		testTheyPut(t, ctx, ours[4], theirs, item.ToPut())
		value := bencode.MustMarshal(newLongest())
		replaced, _, err := ours[5].items.Update(ctx, key, salt, func(*store.Item) ([]byte, error) { return value, nil })
		if err != nil || replaced.Seq != seq+1 {
			t.Fatalf("we replaced seq %d by %d: %v", seq, replaced.Seq, err)
		}
		mustGet(t, ctx, theirs, replaced)
	}
	seq := int64(4)
	res := theirs.Get(ctx, theirAddr(ours[0].addr()), store.MutableTarget(key.Public().(ed25519.PublicKey), salt), &seq, dht.QueryRateLimiting{})
	if err := res.ToError(); err != nil {
		t.Fatal(err)
	}
	if r := res.Reply.R; r.V != nil || r.Seq == nil || *r.Seq != seq {
		t.Errorf("a get of what is newer than seq 4 found %q with seq %v, want no value", r.V, r.Seq)
	}
}

// testSwap has clients compare and swap at one node: a new one each time, since they
// refuse what is older than what they have put themselves.
func testSwap(t *testing.T, ctx context.Context, ours *node) {
	key, node := newKey(t), theirAddr(ours.addr())
	put := func(seq, cas int64) error {
		client := startClient(t, ours.addr())
		item, err := bep44.NewItem(rand.Text(), nil, seq, cas, key)
		if err != nil {
			t.Fatal(err)
		}
		res := client.Get(ctx, node, item.Target(), nil, dht.QueryRateLimiting{})
		if err := res.ToError(); err != nil {
			t.Fatal(err)
		}
		res = client.Put(ctx, node, item.ToPut(), *res.Reply.R.Token, dht.QueryRateLimiting{})
		return res.ToError()
	}
	mustFail := func(err error, code int) {
		t.Helper()
		var refused *krpc.Error
		if !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("put: %v, want error %d", err, code)
		}
	}
	if err := errors.Join(put(1, 0), put(2, 1)); err != nil {
		t.Error(err)
	}
	mustFail(put(3, 1), krpc.ErrorCodeCasHashMismatched)
	mustFail(put(1, 0), krpc.ErrorCodeSequenceNumberLessThanCurrent)
}

// testPeers has them announce a peer that we find, and find one that we announce.
func testPeers(t *testing.T, ctx context.Context, ours []*node, theirs *dht.Server) {
	infoHash := sha1.Sum([]byte(rand.Text()))
	const theirPort, ourPort = 7001, 7002
	lookUp := func(opts ...dht.AnnounceOpt) (peers map[netip.AddrPort]bool, estimate float64) {
		a, err := theirs.AnnounceTraversal(infoHash, opts...)
		if err != nil {
			t.Fatal(err)
		}
		peers = make(map[netip.AddrPort]bool)
		for reply := range a.Peers {
			for _, p := range reply.Peers {
				peers[p.UDP().AddrPort()] = true
			}
			if reply.BFpe != nil {
				estimate = max(estimate, reply.BFpe.EstimateCount())
			}
		}
		<-a.Finished()
		return peers, estimate
	}
	lookUp(dht.AnnouncePeer(dht.AnnouncePeerOpts{Port: theirPort}))
	found := false
	for peer, err := range ours[1].tracker.GetPeers(ctx, infoHash) {
		if err != nil {
			t.Fatal(err)
		}
		found = found || peer == netip.AddrPortFrom(loopback, theirPort)
	}
	if !found {
		t.Error("we do not find the peer that they announced")
	}
	if _, err := ours[5].tracker.Announce(ctx, infoHash, tracker.AnnounceOptions{Port: ourPort}); err != nil {
		t.Fatal(err)
	}
	if peers, _ := lookUp(); !peers[netip.AddrPortFrom(loopback, ourPort)] {
		t.Errorf("they find the peers %v, not the one that we announced", peers)
	}
	// Both peers are at one address, which counts once (BEP 33).
	if _, estimate := lookUp(dht.Scrape()); estimate < 0.5 || estimate > 1.5 {
		t.Errorf("they estimate %.2f peers, want about 1", estimate)
	}
}
