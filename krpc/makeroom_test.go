package krpc

import (
	"bytes"
	"net/netip"
	"testing"
)

// roomy returns a request with a reply that lists so many nodes of each family.
func roomy(from string, n4, n6 int) *Request {
	rq := &Request{From: netip.MustParseAddrPort(from)}
	rq.Reply = Message{Kind: KindReply, TID: []byte("abcd"), HasID: true}
	for i := range n4 {
		rq.Reply.Nodes = append(rq.Reply.Nodes, bytes.Repeat([]byte{byte(i)}, Node4Len)...)
	}
	for i := range n6 {
		rq.Reply.Nodes6 = append(rq.Reply.Nodes6, bytes.Repeat([]byte{byte(i)}, Node6Len)...)
	}
	return rq
}

func TestMakeRoom(t *testing.T) {
	const v4, v6 = "1.2.3.4:5", "[2a00::1]:5"
	for _, c := range []struct {
		name         string
		from         string
		n4, n6       int
		more         int // bytes of room that are missing
		want4, want6 int
	}{
		{"there is room", v4, 8, 8, 0, 8, 8},
		{"there is more than enough", v4, 8, 8, -500, 8, 8},
		{"one byte is missing", v4, 8, 8, 1, 8, 7},
		{"two nodes are in the way", v4, 8, 8, Node6Len + 1, 8, 6},
		{"the other family is in the way", v4, 8, 8, 8 * Node6Len, 8, 0},
		{"and one of ours", v4, 8, 8, 8*Node6Len + 1, 7, 0},
		{"IPv6: one byte is missing", v6, 8, 8, 1, 7, 8},
		{"IPv6: ours have to go too", v6, 8, 8, 8*Node4Len + 1, 0, 7},
		{"nobody of the other family", v4, 8, 0, 1, 7, 0},
		{"IPv6: nobody of the other family", v6, 0, 8, 1, 0, 7},
		{"nobody of ours", v4, 0, 8, 1, 0, 7},
		{"all have to go", v4, 8, 8, 10_000, 0, 0},
		{"nobody is there", v6, 0, 0, 1, 0, 0},
	} {
		rq := roomy(c.from, c.n4, c.n6)
		room := rq.Room() + c.more
		rq.MakeRoom(room)
		r := &rq.Reply
		if len(r.Nodes) != c.want4*Node4Len || len(r.Nodes6) != c.want6*Node6Len {
			t.Errorf("%s: %d and %d bytes left, want %d and %d nodes", c.name, len(r.Nodes), len(r.Nodes6), c.want4, c.want6)
		}
		if rq.Room() < room && c.want4+c.want6 > 0 {
			t.Errorf("%s: room for %d bytes, want %d", c.name, rq.Room(), room)
		}
		if c.n4 == 0 && r.Nodes != nil || c.n6 == 0 && r.Nodes6 != nil {
			t.Errorf("%s: an absent list has come in", c.name)
		}
		for i := 0; i < len(r.Nodes); i += Node4Len {
			if r.Nodes[i] != byte(i/Node4Len) {
				t.Errorf("%s: node %d is not where it was", c.name, i/Node4Len)
			}
		}
	}
}

func TestMakeRoomAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	rq := roomy("1.2.3.4:5", 8, 8)
	nodes, nodes6, room := rq.Reply.Nodes, rq.Reply.Nodes6, rq.Room()+100
	if n := testing.AllocsPerRun(100, func() {
		rq.Reply.Nodes, rq.Reply.Nodes6 = nodes, nodes6
		rq.MakeRoom(room)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMakeRoom(b *testing.B) {
	rq := roomy("1.2.3.4:5", 8, 8)
	nodes, nodes6, room := rq.Reply.Nodes, rq.Reply.Nodes6, rq.Room()+100
	b.ReportAllocs()
	for b.Loop() {
		rq.Reply.Nodes, rq.Reply.Nodes6 = nodes, nodes6
		rq.MakeRoom(room)
	}
}
