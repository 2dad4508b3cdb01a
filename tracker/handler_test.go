package tracker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// outbox keeps the last datagram that was pushed.
type outbox struct {
	buf  [krpc.MaxDatagram]byte
	sent []byte
	to   netip.AddrPort
}

func (o *outbox) Buffer() []byte                   { return o.buf[:0] }
func (o *outbox) Push(to netip.AddrPort, b []byte) { o.to, o.sent = to, b }

// ask has m answer q from the given address, and returns the reply and its length.
func (w *world) ask(m *member, from netip.AddrPort, q krpc.Message) (*krpc.Message, int) {
	w.t.Helper()
	q.Kind, q.HasID, q.ID = krpc.KindQuery, true, krpc.RandomID(w.rng)
	if q.TID == nil {
		q.TID = []byte("aa")
	}
	q.Version = []byte("LT\x02\x00") // as most have; replies to shorter queries are shorter
	var out outbox
	m.node.Deliver(w.clock.Now(), from, q.Append(nil), &out)
	var r krpc.Message
	if err := r.Decode(out.sent); err != nil || out.to != from || string(r.TID) != string(q.TID) {
		w.t.Fatalf("reply %q to %v: %v", out.sent, out.to, err)
	}
	return &r, len(out.sent)
}

func (w *world) getPeers(m *member, from netip.AddrPort, ih krpc.ID) *krpc.Message {
	w.t.Helper()
	r, _ := w.ask(m, from, krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih})
	if r.Kind != krpc.KindReply {
		w.t.Fatalf("get_peers refused: %d %s", r.ErrorCode, r.ErrorText)
	}
	return r
}

// announceWith sends an announce_peer with token, changed by edit.
func (w *world) announceWith(m *member, from netip.AddrPort, ih krpc.ID, token []byte, edit func(*krpc.Message)) *krpc.Message {
	w.t.Helper()
	q := krpc.Message{Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Token: token, Port: 4001}
	if edit != nil {
		edit(&q)
	}
	r, _ := w.ask(m, from, q)
	return r
}

func wantError(t *testing.T, r *krpc.Message, code int64, text string) {
	t.Helper()
	if r.Kind != krpc.KindError || r.ErrorCode != code || !strings.Contains(string(r.ErrorText), text) {
		t.Errorf("answered %c %d %q, want error %d %q", r.Kind, r.ErrorCode, r.ErrorText, code, text)
	}
}

func wantStored(t *testing.T, w *world, m *member, ih krpc.ID, want ...netip.AddrPort) {
	t.Helper()
	if got := peersOf(m.swarms, ih, SampleOptions{V6: m.node.Is6()}, w.clock.Now()); !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

var stranger = netip.MustParseAddrPort("90.1.2.3:50000")

func TestAnnounceStoresTheSource(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*krpc.Message)
		port uint16
	}{
		"port":                           {nil, 4001},
		"implied":                        {func(q *krpc.Message) { q.ImpliedPort = true }, 50000},
		"implied without port":           {func(q *krpc.Message) { q.ImpliedPort, q.Port = true, 0 }, 50000},
		"of a node that is read-only":    {func(q *krpc.Message) { q.ReadOnly = true }, 4001},
		"with a name, which says little": {func(q *krpc.Message) { q.Version = []byte("XX00") }, 4001},
	} {
		t.Run(name, func(t *testing.T) {
			w, ih := newWorld(t, 1, Config{}), hashOf(1)
			m := w.any()
			r := w.announceWith(m, stranger, ih, w.getPeers(m, stranger, ih).Token, c.edit)
			if r.Kind != krpc.KindReply || !r.HasID || r.ID != m.node.ID() {
				t.Errorf("answered %+v", r)
			}
			wantStored(t, w, m, ih, netip.AddrPortFrom(stranger.Addr(), c.port))
		})
	}
}

func TestAnnounceNeedsItsOwnToken(t *testing.T) {
	w, ih, other := newWorld(t, 1, Config{}), hashOf(1), hashOf(2)
	m := w.any()
	good := w.getPeers(m, stranger, ih).Token
	neighbour := netip.MustParseAddrPort("90.1.2.4:50000")
	wantError(t, w.announceWith(m, stranger, ih, []byte("12345678"), nil), 203, "bad token")
	wantError(t, w.announceWith(m, stranger, ih, []byte{}, nil), 203, "")
	wantError(t, w.announceWith(m, stranger, ih, nil, nil), 203, "token")
	wantError(t, w.announceWith(m, stranger, other, good, nil), 203, "bad token")
	wantError(t, w.announceWith(m, neighbour, ih, good, nil), 203, "bad token")
	w.clock.Run(16 * time.Minute)
	wantError(t, w.announceWith(m, stranger, ih, good, nil), 203, "bad token")
	wantStored(t, w, m, ih)
	wantStored(t, w, m, other)
}

func TestTokenServesFromAnotherPortForFiveMinutes(t *testing.T) {
	w, ih := newWorld(t, 1, Config{}), hashOf(1)
	m := w.any()
	token := w.getPeers(m, stranger, ih).Token
	w.clock.Run(3 * time.Minute)
	from := netip.AddrPortFrom(stranger.Addr(), 1024)
	if r := w.announceWith(m, from, ih, token, nil); r.Kind != krpc.KindReply {
		t.Errorf("refused: %d %s", r.ErrorCode, r.ErrorText)
	}
}

func TestPort0IsRefused(t *testing.T) {
	w, ih := newWorld(t, 1, Config{}), hashOf(1)
	m := w.any()
	token := w.getPeers(m, stranger, ih).Token
	wantError(t, w.announceWith(m, stranger, ih, token, func(q *krpc.Message) { q.Port = 0 }), 203, "port")

	// The same with the key there, which Append leaves out.
	q := krpc.Message{
		Kind: krpc.KindQuery, Method: krpc.MethodAnnouncePeer, TID: []byte("aa"), HasID: true,
		HasInfoHash: true, InfoHash: ih, Token: token, Port: 9,
	}
	b := strings.Replace(string(q.Append(nil)), "4:porti9e", "4:porti0e", 1)
	var out outbox
	m.node.Deliver(w.clock.Now(), stranger, []byte(b), &out)
	var r krpc.Message
	if err := r.Decode(out.sent); err != nil {
		t.Fatal(err)
	}
	wantError(t, &r, 203, "port")
	wantStored(t, w, m, ih)
}

func TestMartiansGetNoToken(t *testing.T) {
	w, ih := newWorld(t, 1, Config{}), hashOf(1)
	m := w.any()
	mustAnnounce(t, m.swarms, ih, publicPeer(1), false, w.clock.Now())
	for _, from := range []string{"127.0.0.1:6881", "192.168.1.2:6881", "100.64.0.1:6881"} {
		a := netip.MustParseAddrPort(from)
		if r := w.getPeers(m, a, ih); r.Token != nil || len(r.Values) == 0 || r.Nodes == nil {
			t.Errorf("%v got %+v, want nodes and values without a token", a, r)
		}
	}
	if st := m.Stats(); st.TokensWithheld != 3 || st.Swarms.RefusedFull != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestFullStoreWithholdsTokens(t *testing.T) {
	w := newWorld(t, 1, Config{Swarms: SwarmsConfig{MaxHashes: 1}})
	m, ih, other := w.any(), hashOf(1), hashOf(2)
	token, early := w.getPeers(m, stranger, ih).Token, w.getPeers(m, stranger, other).Token
	w.announceWith(m, stranger, ih, token, nil)
	if r := w.getPeers(m, stranger, other); r.Token != nil || r.Nodes == nil {
		t.Errorf("a full store answered %+v, want nodes without a token", r)
	}
	if r := w.getPeers(m, stranger, ih); r.Token == nil {
		t.Error("no token to refresh a peer")
	}
	wantError(t, w.announceWith(m, stranger, other, early, nil), 202, "store is full")
	if st := m.Stats(); st.TokensWithheld != 1 || st.AnnouncesRefused != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestSubnetThatIsFullIsRefused(t *testing.T) {
	w := newWorld(t, 1, Config{Swarms: SwarmsConfig{MaxPeersPerSubnet: 1}})
	m, ih, neighbour := w.any(), hashOf(1), netip.MustParseAddrPort("90.1.2.4:50000")
	early := w.getPeers(m, neighbour, ih).Token
	w.announceWith(m, stranger, ih, w.getPeers(m, stranger, ih).Token, nil)
	if r := w.getPeers(m, neighbour, ih); r.Token != nil {
		t.Error("a token for one too many of a subnet")
	}
	wantError(t, w.announceWith(m, neighbour, ih, early, nil), 202, "subnet")
}

func TestNoSeedLeavesSeedsOut(t *testing.T) {
	w, ih := newWorld(t, 1, Config{}), hashOf(1)
	m := w.any()
	seed := netip.MustParseAddrPort("91.1.2.3:50000")
	w.announceWith(m, stranger, ih, w.getPeers(m, stranger, ih).Token, nil)
	w.announceWith(m, seed, ih, w.getPeers(m, seed, ih).Token, func(q *krpc.Message) { q.Seed = true })
	for noSeed, want := range map[bool]int{false: 2, true: 1} {
		r, _ := w.ask(m, seed, krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, NoSeed: noSeed})
		if got := slices.Collect(r.EachPeer); len(got) != want || !slices.Contains(got, netip.AddrPortFrom(stranger.Addr(), 4001)) {
			t.Errorf("noseed %v: %v", noSeed, got)
		}
	}
}

func TestReplyWithoutPeersHasNoValues(t *testing.T) {
	w := newWorld(t, 20, Config{})
	r := w.getPeers(w.any(), stranger, hashOf(1))
	if r.Values != nil || len(r.Nodes) != 8*26 || len(r.Token) != kademlia.TokenLen {
		t.Errorf("reply %+v", r)
	}
}

// TestReplyIsFilledToTheBrim asks for a swarm of 2 000 peers in every way that
// changes the length of the rest.
func TestReplyIsFilledToTheBrim(t *testing.T) {
	for name, c := range map[string]struct {
		addr func(int) netip.AddrPort
		size int
		from netip.AddrPort
	}{
		"IPv4": {simnet.Addr, 8, stranger},
		"IPv6": {simnet.Addr6, 21, simnet.Addr6(77_777)},
	} {
		t.Run(name, func(t *testing.T) {
			w := emptyWorld(t, c.addr)
			w.grow(20, Config{})
			m, ih := w.any(), hashOf(1)
			for n := range 2000 {
				mustAnnounce(t, m.swarms, ih, c.addr(1000+n), n%2 == 0, w.clock.Now())
			}
			for tid := 1; tid <= 32; tid++ {
				for _, noSeed := range []bool{false, true} {
					r, length := w.ask(m, c.from, krpc.Message{
						Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, NoSeed: noSeed,
						TID: []byte(strings.Repeat("t", tid)), Want: krpc.Want(tid % 4),
					})
					if length > krpc.MaxReply || length <= krpc.MaxReply-c.size {
						t.Errorf("tid of %d: %d bytes, want as many peers as fit into %d", tid, length, krpc.MaxReply)
					}
					checkFullReply(t, r, c.addr)
				}
			}
		})
	}
}

func checkFullReply(t *testing.T, r *krpc.Message, addr func(int) netip.AddrPort) {
	t.Helper()
	peers := slices.Collect(r.EachPeer)
	distinct := map[netip.AddrPort]bool{}
	for _, p := range peers {
		distinct[p] = p.Addr().Is4() == addr(0).Addr().Is4()
	}
	for p, ok := range distinct {
		if !ok {
			t.Errorf("%v is of the other family", p)
		}
	}
	if len(distinct) != len(peers) || len(peers) < 20 {
		t.Errorf("%d peers, %d distinct", len(peers), len(distinct))
	}
	if r.Token == nil || string(r.Version) != "KN01" || !r.IP.IsValid() || r.Malformed != 0 {
		t.Errorf("reply %+v", r)
	}
}

func TestSamplesDiffer(t *testing.T) {
	w, ih := newWorld(t, 1, Config{}), hashOf(1)
	m, seen := w.any(), map[netip.AddrPort]bool{}
	for n := range 200 {
		mustAnnounce(t, m.swarms, ih, publicPeer(n), false, w.clock.Now())
	}
	for range 30 {
		for p := range w.getPeers(m, stranger, ih).EachPeer {
			seen[p] = true
		}
	}
	if len(seen) != 200 {
		t.Errorf("30 replies told of %d of 200 peers", len(seen))
	}
}

// benchNode returns a member of a joined world with a swarm of peers.
func benchNode(tb testing.TB, peers int) (*world, *member, krpc.ID) {
	w := newWorld(tb, 30, Config{})
	m, ih := w.any(), hashOf(1)
	for n := range peers {
		mustAnnounce(tb, m.swarms, ih, publicPeer(n), false, w.clock.Now())
	}
	return w, m, ih
}

// packetOf returns q as a datagram of a stranger.
func packetOf(q krpc.Message) []byte {
	q.Kind, q.TID, q.HasID = krpc.KindQuery, []byte("abcd"), true
	q.ID = krpc.RandomID(rand.New(rand.NewPCG(9, 9)))
	return q.Append(nil)
}

func BenchmarkServe(b *testing.B) {
	for _, peers := range []int{0, 50, 2000} {
		w, m, ih := benchNode(b, peers)
		get := packetOf(krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih})
		put := packetOf(krpc.Message{
			Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Port: 1,
			Token: m.node.AppendToken(nil, stranger.Addr(), ih),
		})
		for name, packet := range map[string][]byte{"get_peers": get, "announce_peer": put} {
			b.Run(fmt.Sprintf("%s/%d", name, peers), func(b *testing.B) {
				now, out := w.clock.Now(), new(outbox)
				b.ReportAllocs()
				for b.Loop() {
					m.node.Deliver(now, stranger, packet, out)
				}
			})
		}
	}
}
