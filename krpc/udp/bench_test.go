package udp

import "testing"

const (
	echoWindow = 64 // datagrams in flight
	echoSize   = 67 // bytes, about those of a ping
)

// pinger keeps a window of datagrams in flight through a link, so that the
// client costs as little as the package allows.
type pinger struct {
	t       testing.TB
	link    link
	server  *Socket
	payload [echoSize]byte
}

func newPinger(t testing.TB, cfg Config) *pinger {
	server := listen(t, loopback4, cfg)
	server.Serve(echo)
	client := listen(t, loopback4, Config{})
	return &pinger{t: t, link: client.links[0], server: server}
}

// round sends a window and receives it back.
func (p *pinger) round() {
	for range echoWindow {
		p.link.Push(p.server.local, append(p.link.Buffer(), p.payload[:]...))
	}
	p.link.flush()
	for missing := echoWindow; missing > 0; {
		n, err := p.link.receive()
		if err != nil {
			p.t.Fatal(err)
		}
		missing -= n
	}
}

func BenchmarkEcho(b *testing.B)      { benchmarkEcho(b, Config{}) }
func BenchmarkEchoPlain(b *testing.B) { benchmarkEcho(b, Config{plain: true}) }

func benchmarkEcho(b *testing.B, cfg Config) {
	p := newPinger(b, cfg)
	b.ReportAllocs()
	b.SetBytes(echoWindow * echoSize)
	for b.Loop() {
		p.round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*echoWindow), "ns/datagram")
}

func BenchmarkSend(b *testing.B) {
	s := listen(b, loopback4, Config{})
	sink := listen(b, loopback4, Config{}).LocalAddr() // overflows, which is no error
	payload := make([]byte, echoSize)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Send(sink, payload); err != nil {
			b.Fatal(err)
		}
	}
}

func TestServingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, cfg := range map[string]Config{"batched": {}, "plain": {plain: true}} {
		p := newPinger(t, cfg)
		if n := testing.AllocsPerRun(100, p.round); n != 0 {
			t.Errorf("%s: %v allocations for %d datagrams", name, n, echoWindow)
		}
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, cfg := range map[string]Config{"batched": {}, "plain": {plain: true}} {
		s := listen(t, loopback4, cfg)
		to, b := s.LocalAddr(), make([]byte, echoSize)
		if n := testing.AllocsPerRun(100, func() { _ = s.Send(to, b) }); n != 0 {
			t.Errorf("%s: %v allocations a Send", name, n)
		}
	}
}
