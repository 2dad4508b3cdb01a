package udp

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kadnode/kadnode/krpc"
)

const (
	aQuery   = "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"
	aReply   = "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"
	bep42    = "d2:ip6:abcdef1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"
	anError  = "d1:eli201e1:ee1:t2:aa1:y1:ee"
	noRandom = 30 // a level that lets in one in a thousand million
)

// While queries are refused, replies and errors come in, and what is refused is counted.
func TestRefusedQueriesAreNotTakenIn(t *testing.T) {
	for _, ip := range []netip.Addr{loopback4, loopback6} {
		if ip == loopback6 {
			needIPv6(t)
		}
		s, c := listen(t, ip, Config{}), newClient(t, ip)
		s.links[0].refuse(noRandom, nobody())
		for _, m := range []string{aQuery, aReply, aQuery, bep42, "not KRPC", anError, "d"} {
			c.send(s.LocalAddr(), []byte(m))
		}
		taken := make(chan string, 10)
		s.Serve(func(_ time.Time, _ netip.AddrPort, b []byte, _ krpc.Outbox) { taken <- string(b) })
		expect := func(want string) {
			t.Helper()
			select {
			case got := <-taken:
				if got != want {
					t.Errorf("%v: took %q, want %q", ip, got, want)
				}
			case <-time.After(patience):
				t.Fatalf("%v: %q does not come", ip, want)
			}
		}
		expect(aReply)
		expect(bep42)
		expect(anError)
		if n := s.Stats().Overflows; n != 4 {
			t.Errorf("%v: %d datagrams dropped, want 4", ip, n)
		}
		s.links[0].refuse(noRandom, prefer(nobody(), ip))
		c.send(s.LocalAddr(), []byte(aQuery))
		expect(aQuery)
		s.links[0].refuse(noRandom, nil)
		c.send(s.LocalAddr(), []byte(aQuery))
		c.send(s.LocalAddr(), []byte(aReply))
		expect(aReply)
		s.links[0].refuse(0, nil)
		c.send(s.LocalAddr(), []byte(aQuery))
		expect(aQuery)
	}
}

func nobody() *krpc.Preferred {
	return &krpc.Preferred{Key: krpc.PreferredKey{0x9e3779b1, 0x85ebca6b, 0xc2b2ae35}}
}

func prefer(p *krpc.Preferred, a netip.Addr) *krpc.Preferred {
	m := p.Key.Mark(a)
	p.Marks[m>>5] |= 1 << (m & 31)
	return p
}

// The kernel takes in the queries of all who are preferred, and of few others.
func TestTheKernelKnowsWhoIsPreferred(t *testing.T) {
	const sources, preferred = 2000, 500
	s, c := listen(t, netip.IPv4Unspecified(), Config{}), newAsker(t, netip.IPv4Unspecified(), Config{})
	source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 9, byte(i >> 8), byte(i)}) }
	p := nobody()
	for i := range preferred {
		prefer(p, source(i))
	}
	s.links[0].refuse(noRandom, p)
	to := netip.AddrPortFrom(loopback4, s.LocalAddr().Port())
	for i := range sources {
		c.Push(source(i), to, append(c.Buffer(), aQuery...))
	}
	c.Flush()
	c.Push(loopback4, to, append(c.Buffer(), aReply...))
	c.Flush()
	heard, done := make(map[netip.Addr]bool), make(chan struct{})
	s.Serve(func(_ time.Time, from netip.AddrPort, b []byte, _ krpc.Outbox) {
		heard[from.Addr()] = true
		if string(b) == aReply {
			close(done)
		}
	})
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the last datagram does not come")
	}
	for i := range preferred {
		if !heard[source(i)] {
			t.Errorf("%v is preferred, and not heard", source(i))
		}
	}
	if others := len(heard) - 1 - preferred; others > (sources-preferred)/8 {
		t.Errorf("%d of %d others are heard", others, sources-preferred)
	}
}

// The program finds the same marks as Preferred, and lets in one in 2^level of those without one.
func TestAdmissionFindsTheMarks(t *testing.T) {
	const level = 3
	r := rand.New(rand.NewPCG(1, 2))
	for _, v6 := range []bool{false, true} {
		p := nobody()
		for range 1000 {
			prefer(p, someAddr(r, v6))
		}
		program, deaf := newAdmission(v6, level, p), newAdmission(v6, level, nil)
		if len(program) > unix.BPF_MAXINSNS {
			t.Fatalf("%d instructions", len(program))
		}
		marked := 0
		for i := range 10_000 {
			a, random := someAddr(r, v6), uint32(i)
			if p.Has(a) {
				marked++
			}
			drawn := random%(1<<level) == 0
			if got := runAdmission(t, program, a, aQuery, random); got != (drawn || p.Has(a)) {
				t.Fatalf("%v, random word %d: admitted %v", a, random, got)
			}
			if got := runAdmission(t, deaf, a, aQuery, random); got != drawn {
				t.Fatalf("%v, random word %d: admitted %v, and nobody is preferred", a, random, got)
			}
			if !runAdmission(t, program, a, aReply, 1) || !runAdmission(t, deaf, a, aReply, 1) {
				t.Fatalf("a reply from %v is refused", a)
			}
		}
		if marked < 900 || marked > 1300 { // 1 - e^(-1000/8192)
			t.Errorf("IPv6 %v: %d of 10 000 have a mark", v6, marked)
		}
	}
}

func someAddr(r *rand.Rand, v6 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	if v6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:]))
}

// runAdmission does what the kernel does with a program, for the instructions that it has, and tells
// whether a datagram is let in.
func runAdmission(t *testing.T, program admission, from netip.Addr, payload string, random uint32) bool {
	t.Helper()
	header := make([]byte, 12, 28)
	if from.Is6() {
		header = make([]byte, 8, 24)
	}
	header = append(header, from.AsSlice()...)
	packet := append(make([]byte, udpPayload), payload...)
	load := func(k uint32, n int) (v uint32) {
		from := packet[min(int(k), len(packet)):]
		if k == randomWord {
			return random
		} else if k >= ipHeader {
			from = header[k-ipHeader:]
		}
		for _, b := range from[:n] {
			v = v<<8 | uint32(b)
		}
		return v
	}
	var a, x uint32
	var scratch [16]uint32
	for pc := 0; ; pc++ {
		i := program[pc]
		branch := func(yes bool) {
			if pc += int(i.Jf); yes {
				pc += int(i.Jt) - int(i.Jf)
			}
		}
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = load(i.K, 4)
		case unix.BPF_LD | unix.BPF_H | unix.BPF_ABS:
			a = load(i.K, 2)
		case unix.BPF_LD | unix.BPF_IMM:
			a = i.K
		case unix.BPF_LDX | unix.BPF_IMM:
			x = i.K
		case unix.BPF_LDX | unix.BPF_MEM:
			x = scratch[i.K]
		case unix.BPF_ST:
			scratch[i.K] = a
		case unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K:
			a *= i.K
		case unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X:
			a += x
		case unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X:
			a ^= x
		case unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K:
			a >>= i.K
		case unix.BPF_ALU | unix.BPF_RSH | unix.BPF_X:
			a >>= x
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= i.K
		case unix.BPF_MISC | unix.BPF_TAX:
			x = a
		case unix.BPF_MISC | unix.BPF_TXA:
			a = x
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			branch(a == i.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			branch(a >= i.K)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			branch(a&i.K != 0)
		case unix.BPF_RET | unix.BPF_K:
			return i.K > 0
		default:
			t.Fatalf("instruction %d: code %#x", pc, i.Code)
		}
	}
}
