package krpc

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
)

type hotPacket struct {
	name   string
	packet []byte
}

// hotPackets are the packets that a node sees by the thousand a second.
func hotPackets() []hotPacket {
	reply := getPeersReply(50)
	ps := []hotPacket{{"get_peers reply with 50 values", reply.Append(nil)}}
	for _, g := range golden {
		ps = append(ps, hotPacket{g.name, []byte(g.packet)})
	}
	return ps
}

func TestAppendGolden(t *testing.T) {
	for _, g := range golden {
		if got := string(g.msg.Append([]byte("before"))); got != "before"+g.packet {
			t.Errorf("%s:\n got %q\nwant %q", g.name, got, g.packet)
		}
	}
}

func TestAppendLeavesOut(t *testing.T) {
	const empty = "d1:rde1:t2:aa1:y1:re"
	for name, m := range map[string]*Message{
		"values of one string":            {Values: []byte("abcdef"), PackedValues: true},
		"interval and num without sample": {Interval: 300, Num: 7},
		"seq and cas that are not there":  {Seq: 5, Cas: 5},
		"what no reply has":               {Method: MethodPing, ReadOnly: true, ErrorCode: 201},
		"an unknown family":               {Want: 1 << 7},
	} {
		m.Kind, m.TID = KindReply, []byte("aa")
		if got := string(m.Append(nil)); got != empty {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAppendUnmapsIP(t *testing.T) {
	m := Message{Kind: KindError, TID: []byte("aa"), IP: netip.MustParseAddrPort("[::ffff:1.2.3.4]:513")}
	if got, want := string(m.Append(nil)), "d1:eli0e0:e2:ip6:\x01\x02\x03\x04\x02\x011:t2:aa1:y1:ee"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := m.length(), len(m.Append(nil)); got != want {
		t.Errorf("the length is said to be %d, not %d", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 44))
	for i := range 20000 {
		m := randomMessage(r)
		packet := m.Append(nil)
		if got := m.length(); got != len(packet) {
			t.Fatalf("message %d: %q: the length is said to be %d, not %d", i, packet, got, len(packet))
		}
		var got Message
		if err := got.Decode(packet); err != nil {
			t.Fatalf("message %d: %v\n%q\n%+v", i, err, packet, m)
		}
		if !reflect.DeepEqual(&got, m) {
			t.Fatalf("message %d: %q\n got %+v\nwant %+v", i, packet, &got, m)
		}
	}
}

// randomMessage returns a message with any of the fields that its kind can have.
func randomMessage(r *rand.Rand) *Message {
	m := &Message{TID: randomBytes(r, 1+r.IntN(maxTID)), Version: maybeBytes(r, 4)}
	if r.IntN(2) == 0 {
		m.IP = randomAddr(r)
	}
	switch r.IntN(5) {
	case 0:
		m.Kind, m.ErrorCode, m.ErrorText = KindError, r.Int64N(400)-100, randomBytes(r, r.IntN(30))
		return m
	case 1, 2:
		m.Kind, m.Method, m.ReadOnly = KindQuery, Method(r.IntN(NumMethods)), r.IntN(2) == 0
	default:
		m.Kind = KindReply
	}
	randomArgs(r, m)
	return m
}

func randomArgs(r *rand.Rand, m *Message) {
	yes := func() bool { return r.IntN(2) == 0 }
	for _, f := range []struct {
		has *bool
		id  *ID
	}{{&m.HasID, &m.ID}, {&m.HasTarget, &m.Target}, {&m.HasInfoHash, &m.InfoHash}} {
		if *f.has = yes(); *f.has {
			*f.id = RandomID(r)
		}
	}
	m.Want = Want(r.IntN(4))
	m.ImpliedPort, m.Seed, m.NoSeed, m.Scrape = yes(), yes(), yes(), yes()
	m.Port = uint16(r.Uint32())
	m.Token = maybeBytes(r, r.IntN(41))
	m.Nodes, m.Nodes6 = maybeBytes(r, r.IntN(210)), maybeBytes(r, r.IntN(310))
	if yes() {
		m.Values = []byte{}
		for range r.IntN(60) {
			m.Values = AppendPeer(m.Values, randomAddr(r))
		}
	}
	m.BFsd, m.BFpe = maybeBytes(r, bloomLen), maybeBytes(r, bloomLen)
	if m.HasSeq = yes(); m.HasSeq {
		m.Seq = int64(r.Uint64())
	}
	if m.HasCas = yes(); m.HasCas {
		m.Cas = int64(r.Uint64())
	}
	if yes() {
		m.V = randomValue(r, 4)
	}
	if m.HasTTL = yes(); m.HasTTL {
		m.TTL = int64(r.Uint64())
	}
	m.K, m.Sig, m.Salt = maybeBytes(r, keyLen), maybeBytes(r, sigLen), maybeBytes(r, r.IntN(65))
	if m.Samples = maybeBytes(r, IDLen*r.IntN(20)); m.Samples != nil {
		m.Interval, m.Num = r.Int64N(21601), r.Int64()
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func maybeBytes(r *rand.Rand, n int) []byte {
	if r.IntN(2) == 0 {
		return nil
	}
	return randomBytes(r, n)
}

func randomAddr(r *rand.Rand) netip.AddrPort {
	n := 4 + 12*r.IntN(2)
	ip, _ := netip.AddrFromSlice(randomBytes(r, n))
	return netip.AddrPortFrom(ip, uint16(r.Uint32()))
}

// randomValue returns a bencoded value that nests at most depth levels.
func randomValue(r *rand.Rand, depth int) []byte {
	kinds := 4
	if depth == 0 {
		kinds = 2
	}
	switch r.IntN(kinds) {
	case 0:
		return appendInt(nil, "", int64(r.Uint64()))
	case 1:
		return appendBytes(nil, "", randomBytes(r, r.IntN(20)))
	case 2:
		b := []byte("l")
		for range r.IntN(4) {
			b = append(b, randomValue(r, depth-1)...)
		}
		return append(b, 'e')
	default:
		b := []byte("d")
		for range r.IntN(4) {
			b = appendBytes(b, "", randomBytes(r, r.IntN(4)))
			b = append(b, randomValue(r, depth-1)...)
		}
		return append(b, 'e')
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	buf := make([]byte, 0, MaxDatagram)
	for _, p := range hotPackets() {
		m := decode(t, string(p.packet))
		if n := testing.AllocsPerRun(100, func() { m.Append(buf) }); n != 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}
