package attack

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

// Whoever forges the source of a query has the answer sent to his victim. He asks as shortly as he
// can, for what has the longest answer.
func TestAmplification(t *testing.T) {
	f := newField(t, 200)
	node := f.Hosts[3]
	ih := krpc.RandomID(f.Rand)
	for i := range 2000 {
		p := netip.AddrPortFrom(Networks(i).Addr(), peerPort)
		_ = f.services[node.Node].peers.Announce(ih, p, i%2 == 0, f.Clock.Now()) // a large swarm; a full one is no error of ours
		_ = f.services[node.Node].peers.Announce(krpc.RandomID(f.Rand), p, false, f.Clock.Now())
	}
	id := strings.Repeat("i", krpc.IDLen)
	for _, tt := range []struct{ name, query string }{
		{"ping", "d1:ad2:id20:" + id + "e1:q4:ping1:t1:a1:y1:qe"},
		{"find_node", "d1:ad2:id20:" + id + "6:target20:" + id + "e1:q9:find_node1:t1:a1:y1:qe"},
		{"get_peers", "d1:ad2:id20:" + id + "9:info_hash20:" + string(ih[:]) + "e1:q9:get_peers1:t1:a1:y1:qe"},
		{"get_peers, scrape", "d1:ad2:id20:" + id + "9:info_hash20:" + string(ih[:]) + "6:scrapei1ee1:q9:get_peers1:t1:a1:y1:qe"},
		{"announce_peer", "d1:ad2:id20:" + id + "9:info_hash20:" + string(ih[:]) + "4:porti1e5:token1:xe1:q13:announce_peer1:t1:a1:y1:qe"},
		{"sample_infohashes", "d1:ad2:id20:" + id + "6:target20:" + id + "e1:q17:sample_infohashes1:t1:a1:y1:qe"},
		{"unknown, like find_node", "d1:ad2:id20:" + id + "6:target20:" + id + "e1:q1:x1:t1:a1:y1:qe"},
		{"no arguments", "d1:q4:ping1:t1:a1:y1:qe"},
		{"no query", "d1:t1:a1:y1:qe"},
		{"a reply", "d1:rd2:id20:" + id + "e1:t1:a1:y1:re"},
		{"an error", "d1:eli201e1:xe1:t1:a1:y1:ee"},
		{"malformed", "d1:ad2:id20:" + id},
	} {
		out := &kept{}
		node.Deliver(f.Clock.Now(), Networks(9999), []byte(tt.query), out)
		ratio := float64(out.n) / float64(len(tt.query))
		t.Logf("| %s | %d | %d | %.1f |", tt.name, len(tt.query), out.n, ratio)
		if ratio > 10 || out.n > krpc.MaxReply {
			t.Errorf("%s: %d bytes for %d", tt.name, out.n, len(tt.query))
		}
	}
}

// kept is a krpc.Outbox that counts the bytes that leave.
type kept struct {
	b [krpc.MaxDatagram]byte
	n int
}

func (k *kept) Buffer() []byte                  { return k.b[:0] }
func (k *kept) Push(_ netip.AddrPort, b []byte) { k.n += len(b) }
