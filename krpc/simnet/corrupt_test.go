package simnet

import (
	"math"
	"math/bits"
	"strings"
	"testing"
	"time"
)

func TestCorruptionFlipsBitsAndCutsBytesOff(t *testing.T) {
	const n, share = 20_000.0, .1
	text := strings.Repeat("datagram", 4)
	w := newWorld(1, Link{Corrupt: share})
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
	for range int(n) {
		send(t, a, Addr(1), text)
	}
	w.clock.Run(time.Second)
	cut, flipped := 0, 0
	for _, g := range b.got {
		switch {
		case len(g.text) < len(text):
			cut++
			if !strings.HasPrefix(text, g.text) {
				t.Fatalf("cut off and changed: %q", g.text)
			}
		case g.text != text:
			flipped++
			if d := differingBits(g.text, text); d > 5 || d%2 == 0 {
				t.Fatalf("%d bits differ in %q", d, g.text)
			}
		}
	}
	margin := 4 * math.Sqrt(n*share*(1-share))
	if math.Abs(float64(cut+flipped)-n*share) > margin || float64(min(cut, flipped)) < n/30 {
		t.Errorf("%d of %.0f cut off, %d with bits flipped, want a tenth in all", cut, n, flipped)
	}
	if s := w.Stats(); s.Corrupted != uint64(cut+flipped) || s.Delivered != n || s.DeliveredBytes >= s.SentBytes {
		t.Errorf("stats %+v", s)
	}
}

func differingBits(a, b string) int {
	n := 0
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

// The sender's bytes, and the other copy of a datagram that comes twice, stay whole.
func TestCorruptionIsOfOneCopy(t *testing.T) {
	w := newWorld(1, Link{Corrupt: .5, Duplicate: 1})
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
	payload := []byte("payload")
	for range 100 {
		if err := a.Send(Addr(1), payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Send(Addr(1), nil); err != nil { // nothing to damage
		t.Fatal(err)
	}
	w.clock.Run(time.Second)
	whole := 0
	for _, g := range b.got {
		if g.text == "payload" {
			whole++
		}
	}
	if string(payload) != "payload" || whole < 70 || whole > 130 {
		t.Errorf("%d of 200 copies are whole, %q was sent", whole, payload)
	}
}
