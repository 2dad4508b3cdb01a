package main

import (
	"crypto/sha1"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

const (
	// floodSources is how many addresses a flood comes from.
	floodSources = 1 << 20
	// floodBotnet is how many real ones somebody has.
	floodBotnet = 1 << 12
)

// floodAddr returns the n-th of these.
func floodAddr(n uint32) netip.Addr {
	n %= floodSources
	return netip.AddrFrom4([4]byte{127, 64 + byte(n>>16), byte(n >> 8), byte(n)})
}

// flooder is what a flood consists of. The transaction id of a query is its number, from which
// all that is in it follows.
type flooder interface {
	// source returns the number of the address that the n-th datagram comes from.
	source(n uint32) uint32
	// append appends the n-th datagram to b.
	append(b []byte, n uint32) []byte
	// answer appends what the n-th query's token is used for, nil: nothing.
	answer(b []byte, n uint32, token []byte) []byte
}

// floodSocket is the socket of a flood.
type floodSocket struct {
	client *udp.Client
	target netip.AddrPort
	reply  krpc.Message
	sent   int
	got    int
}

func newFloodSocket(target netip.AddrPort) (*floodSocket, error) {
	c, err := udp.NewClient(netip.AddrPortFrom(netip.IPv4Unspecified(), 0), udp.Config{})
	return &floodSocket{client: c, target: target}, err
}

func (s *floodSocket) close() { s.client.Close() }

// run floods from the datagram of number n on until ended is closed, as fast as it can.
func (s *floodSocket) run(f flooder, n uint32, ended <-chan struct{}) {
	const burst = 64
	for {
		select {
		case <-ended:
			return
		default:
		}
		for range burst {
			s.client.Push(floodAddr(f.source(n)), s.target, f.append(s.client.Buffer(), n))
			n++
		}
		s.sent += burst
		s.hear(f)
		s.client.Flush()
	}
}

// hear uses the tokens that have come.
func (s *floodSocket) hear(f flooder) {
	got, err := s.client.Receive(time.Time{})
	if err != nil {
		return
	}
	for i := range got {
		_, _, b, ok := s.client.Datagram(i)
		if !ok || s.reply.Decode(b) != nil || s.reply.Kind == krpc.KindQuery {
			continue
		}
		s.got++
		if len(s.reply.TID) != 4 || len(s.reply.Token) == 0 {
			continue
		}
		n := binary.BigEndian.Uint32(s.reply.TID)
		if answer := f.answer(s.client.Buffer(), n, s.reply.Token); answer != nil {
			s.client.Push(floodAddr(f.source(n)), s.target, answer)
			s.sent++
		}
	}
}

// numbered returns a query with the n-th id and transaction id.
func numbered(m krpc.Method, n uint32) krpc.Message {
	return krpc.Message{Kind: krpc.KindQuery, Method: m, TID: binary.BigEndian.AppendUint32(nil, n), HasID: true, ID: numberedID(n)}
}

// numberedID returns an id that looks random and follows from n.
func numberedID(n uint32) (id krpc.ID) {
	for i := range 5 {
		v := (uint64(n)*5 + uint64(i) + 1) * 0x9e3779b97f4a7c15
		binary.BigEndian.PutUint32(id[4*i:], uint32(v>>32))
	}
	return id
}

// junk is datagrams that are no KRPC, or hardly.
type junk struct{ all [][]byte }

func newJunk() *junk {
	rng, j := rand.New(rand.NewPCG(1, 2)), &junk{}
	for i := range 512 {
		q := numbered(krpc.MethodFindNode, uint32(i))
		q.HasTarget = true
		b := q.Append(nil)
		switch i % 5 {
		case 0: // noise
			for k := range b {
				b[k] = byte(rng.Uint32())
			}
		case 1: // cut off
			b = b[:rng.IntN(len(b))]
		case 2: // damaged
			for range 3 {
				b[rng.IntN(len(b))] = byte(rng.Uint32())
			}
		case 3: // deep
			b = []byte("d1:a")
			for range 500 {
				b = append(b, "lllldd"[rng.IntN(6)])
			}
		case 4: // long
			b = append([]byte("d1:ad2:id20:"), make([]byte, 1400)...)
		}
		j.all = append(j.all, b)
	}
	return j
}

func (j *junk) source(n uint32) uint32                     { return n }
func (j *junk) append(b []byte, n uint32) []byte           { return append(append(b, j.all[n%512]...), byte(n)) }
func (j *junk) answer([]byte, uint32, []byte) (nil []byte) { return nil }

// strangers ask what is valid, each from an address of its own.
type strangers struct{}

func (strangers) source(n uint32) uint32 { return n }

func (strangers) append(b []byte, n uint32) []byte {
	q := numbered(krpc.MethodPing, n)
	switch n % 4 {
	case 0, 1:
		q.Method, q.HasInfoHash, q.InfoHash = krpc.MethodGetPeers, true, numberedID(n+1)
	case 2:
		q.Method, q.HasTarget, q.Target = krpc.MethodFindNode, true, numberedID(n+1)
	}
	return q.Append(b)
}

func (strangers) answer([]byte, uint32, []byte) []byte { return nil }

// announcers each announce an info-hash of their own.
type announcers struct{}

func (announcers) source(n uint32) uint32 { return n % floodBotnet }

func (announcers) append(b []byte, n uint32) []byte {
	q := numbered(krpc.MethodGetPeers, n)
	q.HasInfoHash, q.InfoHash = true, numberedID(n%1_000_000)
	return q.Append(b)
}

func (announcers) answer(b []byte, n uint32, token []byte) []byte {
	q := numbered(krpc.MethodAnnouncePeer, n)
	q.HasInfoHash, q.InfoHash, q.Port, q.Token = true, numberedID(n%1_000_000), 6881, token
	return q.Append(b)
}

// forgers put mutable items that they have not signed.
type forgers struct{ sources uint32 }

func (f forgers) source(n uint32) uint32 { return n % f.sources }

// forgedKey returns the public key of the n-th item, and its target.
func forgedKey(n uint32) (key []byte, target krpc.ID) {
	id := numberedID(n)
	key = append(id[:], 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	return key, krpc.ID(sha1.Sum(key))
}

func (f forgers) append(b []byte, n uint32) []byte {
	q := numbered(krpc.MethodGet, n)
	q.HasTarget = true
	_, q.Target = forgedKey(n)
	return q.Append(b)
}

func (f forgers) answer(b []byte, n uint32, token []byte) []byte {
	q := numbered(krpc.MethodPut, n)
	q.K, _ = forgedKey(n)
	q.Sig, q.V, q.HasSeq, q.Seq, q.Token = make([]byte, 64), []byte("5:hello"), true, 1, token
	return q.Append(b)
}
