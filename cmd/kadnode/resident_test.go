package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/load"
	"github.com/kadnode/kadnode/krpc/udp"
)

// TestResidentMemory reads what the process takes of the machine's memory: with a full
// table, and with 1 000 000 peers beside it.
func TestResidentMemory(t *testing.T) {
	if _, known := residentMemory(os.Getpid()); !known || raceEnabled || testing.Short() {
		t.Skip("stores 1 000 000 peers; resident memory is known on Linux alone, and the race detector has its own")
	}
	const (
		swarms, peers = 10_000, 100
		maxIdle       = 25_000_000
		maxPerPeer    = 24
	)
	t.Setenv("GOGC", "")
	p, node := startNode(t, "--bootstrap", "none", "--rate-limit", "0")
	resident := func() int64 {
		n, _ := residentMemory(p.cmd.Process.Pid)
		return n
	}
	addr := netip.MustParseAddrPort(node.Listen[0])
	neighbours := benchTarget{name: "node", wait: benchAnswer}
	if err := neighbours.open(t.Context(), load.Config{Target: addr}, t.Output()); err != nil {
		t.Fatal(err)
	}
	defer neighbours.close()
	if known, most := node.metric(t, `kadnode_table_nodes{family="ipv4",state="good"}`),
		node.metric(t, `kadnode_table_limit_nodes{family="ipv4"}`); known < 300 || known < most {
		t.Errorf("a table of %.0f nodes of %.0f", known, most)
	}
	idle := resident()
	newHoarder(t, addr).announce(swarms, peers)
	perPeer := float64(resident()-idle) / (swarms * peers)
	t.Logf("%.1f MB with a full table, %.1f bytes more for each peer", float64(idle)/1e6, perPeer)
	if idle > maxIdle || perPeer > maxPerPeer {
		t.Errorf("want %.1f MB and %d bytes", maxIdle/1e6, maxPerPeer)
	}
	if n := node.metric(t, `kadnode_swarms`); n < swarms {
		t.Errorf("%.0f swarms", n)
	}
}

// hoarder has a node store peers, all of them of one address.
type hoarder struct {
	t      *testing.T
	client *udp.Client
	target netip.AddrPort
	waits  map[uint32]bool // the queries under way
}

func newHoarder(t *testing.T, target netip.AddrPort) *hoarder {
	t.Helper()
	c, err := udp.NewClient(netip.MustParseAddrPort("127.0.0.1:0"), udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &hoarder{t, c, target, make(map[uint32]bool)}
}

// hoarded returns the info-hash of a swarm.
func hoarded(swarm uint32) (ih krpc.ID) {
	binary.BigEndian.PutUint32(ih[:], swarm*0x9e3779b1)
	return ih
}

// announce stores one more peer in each of the swarms until they have so many.
func (h *hoarder) announce(swarms, peers uint32) {
	h.t.Helper()
	hash := func(n uint32) krpc.ID { return hoarded(n % swarms) }
	tokens := make([][]byte, swarms)
	h.each(swarms, func(n uint32, q *krpc.Message) {
		q.Method, q.HasInfoHash, q.InfoHash = krpc.MethodGetPeers, true, hash(n)
	}, func(n uint32, r *krpc.Message) { tokens[n] = bytes.Clone(r.Token) })
	h.each(swarms*peers, func(n uint32, q *krpc.Message) {
		q.Method, q.HasInfoHash, q.InfoHash = krpc.MethodAnnouncePeer, true, hash(n)
		q.Port, q.Token = uint16(1+n/swarms), tokens[n%swarms]
	}, func(uint32, *krpc.Message) {})
}

// each asks n queries, and each until it is answered.
func (h *hoarder) each(n uint32, ask, answered func(n uint32, m *krpc.Message)) {
	h.t.Helper()
	const (
		inFlight = 256
		silence  = 100 * time.Millisecond // after which everything is asked again
	)
	send := func(i uint32) {
		q := krpc.Message{Kind: krpc.KindQuery, TID: binary.BigEndian.AppendUint32(nil, i), HasID: true}
		ask(i, &q)
		h.client.Push(netip.Addr{}, h.target, q.Append(h.client.Buffer()))
	}
	end := time.Now().Add(time.Minute)
	for next := uint32(0); next < n || len(h.waits) > 0; {
		for ; next < n && len(h.waits) < inFlight; next++ {
			h.waits[next] = true
			send(next)
		}
		h.client.Flush()
		got, err := h.client.Receive(time.Now().Add(silence))
		if err != nil || time.Now().After(end) {
			h.t.Fatalf("%d of %d queries asked, error %v", next, n, err)
		}
		h.take(got, answered)
		if got == 0 {
			for i := range h.waits {
				send(i)
			}
		}
	}
}

// take takes the replies among so many datagrams.
func (h *hoarder) take(datagrams int, answered func(n uint32, m *krpc.Message)) {
	h.t.Helper()
	var m krpc.Message
	for i := range datagrams {
		_, _, b, _ := h.client.Datagram(i)
		if m.Decode(b) != nil || m.Kind == krpc.KindQuery {
			continue // it wants to know who we are
		}
		if m.Kind == krpc.KindError {
			h.t.Fatalf("error %d: %s", m.ErrorCode, m.ErrorText)
		}
		if n := binary.BigEndian.Uint32(m.TID); h.waits[n] {
			delete(h.waits, n)
			answered(n, &m)
		}
	}
}
