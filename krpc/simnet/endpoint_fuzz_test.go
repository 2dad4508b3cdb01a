package simnet_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// script is what a fuzzer has written, read as a list of choices. Those that it has not made
// are 0.
type script struct{ rest []byte }

func (s *script) next() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

// below returns a number from 0 up to n, which is 256 at most.
func (s *script) below(n int) int { return int(s.next()) % n }

// bytes returns up to n bytes.
func (s *script) bytes(n int) []byte {
	b := s.rest[:min(n, len(s.rest))]
	s.rest = s.rest[len(b):]
	return b
}

// The moves of a trial. A script is a configuration, and then moves with their choices.
const (
	moveWait = iota
	moveQuery
	moveQueryLater
	moveAnswer
	moveAsked
	moveRaw
	moveTransport
	moveLimiter
	moveBlock
	moveClose
	moveStrain
	numMoves
)

// FuzzEndpoint has an endpoint go through any sequence of datagrams, own queries and time, and
// holds it to a model of what is under way: see trial.
func FuzzEndpoint(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x00\x00\x00\x00" + "\x01\x00\x01\x00" + "\x03\x00\x00" + "\x00\x10")) // a query, and its reply
	f.Add([]byte("\x00\x00\x00\x00\x00\x00" + "\x01\x00\x01\x00" + "\x00\x0a" + "\x00\x0e"))     // one that stalls, and times out
	f.Add([]byte("\x00\x01\x01\x01\x00\x02" + strings.Repeat("\x02\x00\x02\x00", 9) + "\x00\x0c\x09"))
	f.Add([]byte("\x00\x02\x00\x00\x00\x00" + strings.Repeat("\x02\x01\x00\x00", 3) + "\x08\x01\x00\x19")) // blocked while it waits for its turn
	f.Add([]byte("\x00\x02\x02\x02\x01\x02" + strings.Repeat("\x01\x01\x03\x03", 5) + "\x06\x01\x00\x0f"))
	f.Add([]byte("\x03\x02\x00\x00\x00\x00" + strings.Repeat("\x02\x00\x00\x00", 4))) // a hard timeout below a millisecond
	for mutation := range 128 {
		f.Add([]byte("\x00\x00\x00\x00\x00\x00" + "\x01\x00\x03\x03" + "\x01\x02\x03\x00" + "\x03\x00" + string(rune(mutation)) + "\x03\x01\x04\x00\x0d"))
	}
	for answer := range byte(numAnswers) {
		f.Add([]byte{0, 0, 0, 0, 0, 0, moveAsked, 0, 1, answer, moveAsked, 1, 3, answer, moveAsked, 4, 5, answer})
	}
	// Two queries whose replies wait for a proof: it comes, it does not, and one comes once more.
	for _, then := range []string{"\x03\x00\x00", "\x00\x15", "\x04\x00\x08\x08"} {
		f.Add([]byte("\x00\x00\x00\x00\x00\x00" + "\x04\x00\x00\x08" + "\x04\x00\x01\x08" + then))
	}
	// Who has asked before a flood, who comes with it, and who keeps asking.
	ask := string([]byte{moveAsked, 0, 1, answerPeers, moveAsked, 1, 1, answerPeers, moveWait, 18})
	f.Add([]byte("\x00\x00\x00\x00\x00\x00" + ask + "\x00\x16" + "\x0a\x01" + strings.Repeat(ask, 20) + "\x0a\x00" + ask))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00" + "\x07\x02\x02" + "\x0a\x01" + strings.Repeat(ask, 20) + "\x0a\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00" + "\x05\x00\x1ed1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 2000 {
			return
		}
		tr := newTrial(t, &script{in})
		for len(tr.in.rest) > 0 {
			tr.move()
			tr.check()
		}
		tr.settle()
	})
}

// hosts are whom an endpoint hears from and asks, the last ones in error.
var hosts = []netip.AddrPort{
	simnet.Addr(0), simnet.Addr(1), simnet.Addr6(0),
	netip.AddrPortFrom(simnet.Addr(0).Addr(), 1), // a neighbour at the address of the first
	netip.MustParseAddrPort("192.0.2.7:6881"),    // blocked
	netip.MustParseAddrPort("127.0.0.1:6881"),
	netip.AddrPortFrom(simnet.Addr(0).Addr(), 0),
	{},
}

const blockedHost = 4

func newTrial(t *testing.T, in *script) *trial {
	tr := &trial{t: t, in: in, clock: simnet.NewClock(time.Unix(1_800_000_000, 0)), waiting: make(map[string]*ownQuery), askers: make(map[netip.Addr]bool)}
	tr.block(hosts[blockedHost])
	rates := []float64{0, 1, .2, 1000}
	cfg := krpc.EndpointConfig{
		Transport: tr, Clock: tr.clock, Handler: tr, Rand: rand.New(rand.NewPCG(1, 1)), Blocklist: &tr.blocked,
		HardTimeout: []time.Duration{0, time.Second, 100 * time.Millisecond, time.Microsecond}[in.below(4)],
		Pacer:       krpc.NewPacer(rates[in.below(4)], 1+in.below(4)),
		Remotes:     krpc.NewRemotes(rates[in.below(4)]),
		ReadOnly:    in.below(2) == 1,
		MaxPending:  []int{16, 1, 5, 40}[in.below(4)],
		Proven:      krpc.NewProven(16, rand.New(rand.NewPCG(3, 3))),
		Version:     "KN01",
	}
	tr.hard, tr.readOnly, tr.maxPending = cfg.HardTimeout, cfg.ReadOnly, cfg.MaxPending
	if tr.hard == 0 {
		tr.hard = krpc.DefaultHardTimeout
	}
	tr.Endpoint = krpc.NewEndpoint(cfg)
	return tr
}

// block has the addresses of hosts be the blocked ones.
func (tr *trial) block(hosts ...netip.AddrPort) {
	list := ""
	for _, h := range hosts {
		list += h.Addr().String() + "\n"
	}
	if _, err := tr.blocked.Load(strings.NewReader(list)); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *trial) move() {
	in := tr.in
	switch in.below(numMoves) {
	case moveWait:
		tr.clock.Run(time.Microsecond << (in.below(32))) // up to 36 minutes
	case moveQuery:
		tr.query(false)
	case moveQueryLater:
		tr.query(true)
	case moveAnswer:
		tr.answer()
	case moveAsked:
		tr.asked()
	case moveRaw:
		tr.deliver(hosts[in.below(len(hosts))], in.bytes(int(in.next())))
	case moveTransport:
		tr.refuses = in.below(2) == 1
	case moveLimiter:
		tr.SetLimiter(krpc.NewLimiter(float64(in.below(3)), 1+in.below(3), 4, rand.New(rand.NewPCG(2, 2))))
	case moveBlock:
		tr.block(hosts[blockedHost], hosts[in.below(len(hosts)-1)])
	case moveClose:
		tr.close()
	case moveStrain:
		tr.strained = in.below(2) == 1
		if p := tr.preferred(tr.clock.Now()); len(tr.askers) == 0 && *p != (krpc.Preferred{Key: p.Key}) {
			tr.t.Fatal("somebody is preferred, and nobody has asked")
		}
	}
}

// query sends a query of our own.
func (tr *trial) query(later bool) {
	to := hosts[tr.in.below(len(hosts)-2)] // nobody asks at port 0
	q := &ownQuery{tr: tr, to: to, method: krpc.Method(1 + tr.in.below(krpc.NumMethods-1)), then: tr.in.below(8)}
	m := krpc.Message{Method: q.method, HasID: true, ID: krpc.ID{byte(len(tr.queries) >> 8), byte(len(tr.queries))}}
	if q.method == krpc.MethodPut {
		m.V = []byte("le")
	}
	tr.queries = append(tr.queries, q)
	send := tr.Query
	if later {
		send = tr.QueryLater
	}
	tr.open++
	if err := send(to, &m, q); err != nil {
		tr.open--
		q.refused = true
		tr.checkRefusal(q, err)
	}
}

// answer delivers a reply to one of the queries under way, or something like it.
func (tr *trial) answer() {
	in := tr.in
	sent, awaited := tr.sent(), tr.awaited()
	if len(sent)+len(awaited) == 0 {
		return
	}
	r := krpc.Message{Kind: krpc.KindReply, HasID: true, ID: krpc.ID{1}, Nodes: make([]byte, 30)}
	var from netip.AddrPort
	if i := in.below(min(len(sent)+len(awaited), 256)); i < len(sent) {
		r.TID, from = []byte(sent[i].tid), sent[i].to
	} else {
		r.TID, from = []byte(awaited[i-len(sent)].ping), awaited[i-len(sent)].from
	}
	mutation := in.below(128)
	if mutation&1 != 0 {
		from = hosts[in.below(len(hosts))]
	}
	if mutation&2 != 0 {
		r.Kind, r.ErrorCode, r.ErrorText = krpc.KindError, int64(in.next()), in.bytes(4)
	}
	if mutation&4 != 0 {
		r.TID = [][]byte{r.TID[:3], append(r.TID, 0), {r.TID[0], r.TID[1], r.TID[2], r.TID[3] ^ 1}, nil}[in.below(4)]
	}
	b := r.Append(nil)
	if mutation&8 != 0 {
		b[in.below(len(b))] ^= 1 << in.below(8)
	}
	if mutation&16 != 0 {
		b = b[:in.below(len(b))]
	}
	if mutation&32 != 0 {
		b = append(b, in.bytes(3)...)
	}
	tr.deliver(from, b)
	if mutation&64 != 0 {
		tr.deliver(from, b)
	}
}

// asked delivers a query, which is answered as the script says.
func (tr *trial) asked() {
	in := tr.in
	from, size := hosts[in.below(len(hosts))], 1+in.below(32)
	q := krpc.Message{
		Kind: krpc.KindQuery, TID: bytes.Repeat([]byte("t"), size), HasID: true, ID: krpc.ID{2},
		Method: krpc.MethodFindNode, HasTarget: true, Target: krpc.ID{byte(size % 8)}, ReadOnly: size%16 == 0,
	}
	tr.how = in.below(numAnswers)
	tr.deliver(from, q.Append(nil))
	tr.how = 0
}
