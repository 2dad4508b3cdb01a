package udp

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// The kernel refuses more and more while the buffer stays half full, and less and less while all is
// read. What is full for a moment is read, and nothing is refused.
func TestMoreIsRefusedWhileTheBufferStaysFull(t *testing.T) {
	l, now := &fillingLink{}, time.Now()
	r := &refusal{link: l, preferred: somebody}
	lasts := func(backlog float64, d time.Duration) {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(100 * time.Microsecond)
			r.note(backlog, true, now)
		}
	}
	expect := func(level int, when string) {
		t.Helper()
		if l.level != level {
			t.Errorf("%s: level %d, want %d", when, l.level, level)
		}
		if share := r.share(); share != 1-1/float64(int(1)<<level) || r.on() != (level > 0) {
			t.Errorf("%s: a share of %v is refused", when, share)
		}
	}
	lasts(refuseBacklog-.01, time.Second)
	for range 10 {
		lasts(1, refuseAfter/2)
		lasts(refuseBacklog-.01, refuseAfter/2)
	}
	expect(0, "full for moments")
	if l.told > 0 {
		t.Error("the kernel was told of nothing")
	}
	lasts(1, refuseAfter+time.Millisecond)
	expect(1, "full for a while")
	lasts(.3, time.Second)
	expect(1, "neither full nor empty")
	lasts(refuseBacklog, refuseAfter+time.Millisecond)
	expect(2, "full again")
	lasts(1, time.Second)
	expect(refuseMost, "full for long")
	if l.prefers {
		t.Error("too much comes from who is preferred, and still is")
	}
	lasts(.4, time.Second)
	expect(refuseMost, "neither full nor empty")
	lasts(admitBacklog-.01, time.Second)
	expect(refuseStrangers, "a quarter full")
	if !l.prefers {
		t.Error("nobody is preferred, with room for all who are")
	}
	lasts(0, refuseEase+time.Millisecond)
	expect(refuseStrangers-2, "all read")
	lasts(0, time.Second)
	expect(0, "all read for long")
}

// What is not refused, as it begins like a reply, fills the buffer: those who are preferred are, all
// the same. And a filter that somebody else took away is there again soon.
func TestRepliesAreNotPaidForByTheKnown(t *testing.T) {
	l, now := &fillingLink{}, time.Now()
	r := &refusal{link: l, preferred: somebody}
	lasts := func(queries bool) {
		for range 1000 {
			now = now.Add(time.Millisecond)
			r.note(1, queries, now)
		}
	}
	lasts(false)
	if l.level != refuseStrangers || !l.prefers {
		t.Errorf("level %d, want %d", l.level, refuseStrangers)
	}
	if lasts(true); l.level != refuseMost {
		t.Errorf("level %d of queries, want %d", l.level, refuseMost)
	}
	l.told = 0
	lasts(true)
	if l.told < int(time.Second/refuseRenew)-1 {
		t.Errorf("told %d times within a second", l.told)
	}
	if lasts(false); l.level != refuseStrangers {
		t.Errorf("level %d after them, want %d", l.level, refuseStrangers)
	}
}

// Who lets in all again and again, and has more than he can read again and again, does so more and
// more rarely; after a second of peace he has forgotten.
func TestThatAllIsLetInIsTriedLessAndLess(t *testing.T) {
	l, now := &fillingLink{}, time.Now()
	r := &refusal{link: l, preferred: somebody}
	until := func(level int, backlog float64) (took time.Duration) {
		for ; l.level != level; took += time.Millisecond {
			now = now.Add(time.Millisecond)
			r.note(backlog, true, now)
		}
		return took
	}
	var took []time.Duration
	for range 8 {
		until(1, 1)
		took = append(took, until(0, 0).Round(10*time.Millisecond))
	}
	want := []time.Duration{20, 40, 80, 160, 320, 640, 1000, 1000}
	for i := range want {
		if want[i] *= time.Millisecond; took[i] != want[i] {
			t.Fatalf("refused for %v, want %v", took, want)
		}
	}
	now = now.Add(refuseHold)
	until(1, 1)
	if held := until(0, 0).Round(10 * time.Millisecond); held != refuseEase {
		t.Errorf("refused for %v after a second of peace", held)
	}
}

// While queries are refused the kernel learns who is preferred now.
func TestTheKernelIsToldOfNewPreferences(t *testing.T) {
	l, now := &fillingLink{}, time.Now()
	r := &refusal{link: l, preferred: somebody}
	r.set(1, now)
	for l.told = 0; now.Sub(r.since) < time.Second; now = now.Add(time.Millisecond) {
		r.note(.3, true, now)
	}
	if l.told != int(time.Second/refuseRenew)-1 {
		t.Errorf("told %d times within a second", l.told)
	}
}

func somebody(time.Time) *krpc.Preferred { return new(krpc.Preferred) }
