package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

const (
	// floodClientRate is how many queries a second well-behaved clients ask all together.
	floodClientRate = 200
	// floodPatience is for how long they wait for a reply.
	floodPatience = time.Second
)

// clients are well-behaved: each asks a few queries a second from its own address.
type clients struct {
	socket *udp.Client
	target netip.AddrPort
	subnet byte   // the second byte of their addresses
	number uint32 // how many there are
	next   uint32
	sent   map[uint32]time.Time // queries that have no reply yet
	reply  krpc.Message
}

func newClients(t *testing.T, target netip.AddrPort, subnet byte, number uint32) *clients {
	t.Helper()
	c, err := udp.NewClient(netip.AddrPortFrom(netip.IPv4Unspecified(), 0), udp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &clients{socket: c, target: target, subnet: subnet, number: number, sent: make(map[uint32]time.Time)}
}

// prove has each of them announce a peer: it has shown then to be at its address.
func (c *clients) prove(t *testing.T) {
	t.Helper()
	proved := make(map[uint32]bool)
	for deadline := time.Now().Add(patience); len(proved) < int(c.number); {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d clients have announced a peer", len(proved), c.number)
		}
		for n := range c.number {
			if !proved[n] {
				c.send(n, krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: numberedID(n)}, n)
			}
		}
		c.hear(time.Now().Add(100*time.Millisecond), func(tid uint32) {
			if len(c.reply.Token) > 0 {
				c.send(tid, krpc.Message{Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: numberedID(tid), Port: 1, Token: c.reply.Token}, c.number+tid)
			} else if c.reply.Kind == krpc.KindReply && tid >= c.number {
				proved[tid-c.number] = true
			}
		})
	}
}

func (c *clients) send(client uint32, q krpc.Message, tid uint32) {
	q.Kind, q.TID, q.HasID, q.ID = krpc.KindQuery, binary.BigEndian.AppendUint32(nil, tid), true, numberedID(client)
	q.ReadOnly = true
	from := netip.AddrFrom4([4]byte{127, c.subnet, byte(client), 1})
	c.socket.Push(from, c.target, q.Append(c.socket.Buffer()))
}

// hear calls answered for what comes until then.
func (c *clients) hear(until time.Time, answered func(tid uint32)) {
	c.socket.Flush()
	for time.Now().Before(until) {
		n, err := c.socket.Receive(until)
		if err != nil {
			return
		}
		for i := range n {
			if _, _, b, ok := c.socket.Datagram(i); ok && c.reply.Decode(b) == nil && len(c.reply.TID) == 4 && c.reply.Kind != krpc.KindQuery {
				answered(binary.BigEndian.Uint32(c.reply.TID))
			}
		}
		c.socket.Flush()
	}
}

// service is what clients have got.
type service struct {
	sent int
	took []time.Duration // of the right replies, in order
}

func (s service) share() float64 { return float64(len(s.took)) / float64(s.sent) }

func (s service) quantile(q float64) time.Duration {
	if len(s.took) == 0 {
		return 0
	}
	return s.took[int(q*float64(len(s.took)-1))]
}

func (s service) String() string {
	return fmt.Sprintf("%d of %d queries have a right reply, within %v (p50) and %v (p99)",
		len(s.took), s.sent, s.quantile(.5).Round(10*time.Microsecond), s.quantile(.99).Round(10*time.Microsecond))
}

// ask has the clients ask, one after the other, for so long after a time that does not count.
func (c *clients) ask(t *testing.T, uncounted, lasts time.Duration) (s service) {
	t.Helper()
	clear(c.sent)
	c.next = max(c.next, 2*c.number)
	began := time.Now()
	counts := began.Add(uncounted)
	answered := func(tid uint32) {
		at, waits := c.sent[tid]
		if waits && !at.Before(counts) && c.reply.Kind == krpc.KindReply && c.reply.HasID {
			s.took = append(s.took, time.Since(at))
		}
		delete(c.sent, tid)
	}
	for asked := 1; time.Since(began) < uncounted+lasts; asked++ {
		q := krpc.Message{Method: krpc.MethodPing}
		switch c.next % 3 {
		case 0:
			q.Method, q.HasTarget, q.Target = krpc.MethodFindNode, true, numberedID(c.next)
		case 1:
			q.Method, q.HasInfoHash, q.InfoHash = krpc.MethodGetPeers, true, numberedID(c.next)
		}
		c.send(c.next%c.number, q, c.next)
		c.sent[c.next] = time.Now()
		if !c.sent[c.next].Before(counts) {
			s.sent++
		}
		c.next++
		c.hear(began.Add(time.Duration(asked)*time.Second/floodClientRate), answered)
	}
	c.hear(time.Now().Add(floodPatience), answered)
	slices.Sort(s.took)
	return s
}
