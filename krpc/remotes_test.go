package krpc

import (
	"net/netip"
	"testing"
	"time"
)

func remoteAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 6881)
}

// reserve reserves a place for each of n new remotes, and returns how many got one.
func reserve(r *Remotes, from, n int, now time.Time, limit time.Duration) (got int) {
	for i := range n {
		if _, ok := r.Reserve(remoteAt(from+i), now, limit); ok {
			got++
		}
	}
	return got
}

func TestNewRemotesAreLimitedAndKnownOnesFree(t *testing.T) {
	r, now := NewRemotes(10), limitStart
	if got := reserve(r, 0, 100, now, 0); got != 10*remotesBurst {
		t.Errorf("%d new remotes at once, want %d", got, 10*remotesBurst)
	}
	if got := reserve(r, 0, 50, now, 0); got != 50 {
		t.Errorf("%d of 50 remotes are known", got)
	}
	if got := reserve(r, 100, 100, now.Add(10*time.Second), 0); got != 50 {
		t.Errorf("%d new remotes ten seconds later, want 50", got)
	}
	if wait, ok := r.Reserve(remoteAt(999), now.Add(10*time.Second), time.Second); !ok || wait != 100*time.Millisecond {
		t.Errorf("the next one: %v, %t, want 100 ms", wait, ok)
	}
	if s := r.Stats(); s.Known != 101 || s.New != 101 || s.Delayed != 1 || s.MaxKnown != 2*maxRemotes {
		t.Errorf("stats %+v", s)
	}
}

func TestRemotesAreForgotten(t *testing.T) {
	r, now := NewRemotes(1000), limitStart
	for second := range 600 {
		r.Reserve(remoteAt(second), now.Add(time.Duration(second)*time.Second), 0)
		r.Reserve(remoteAt(1_000_000), now.Add(time.Duration(second)*time.Second), 0)
	}
	if s := r.Stats(); s.Known < 60 || s.Known > 121 || s.New != 601 {
		t.Errorf("stats %+v, want the remotes of one to two minutes, and one that is known throughout", s)
	}
	now = now.Add(time.Hour)
	r.Reserve(remoteAt(0), now, 0)
	if s := r.Stats(); s.Known != 1 {
		t.Errorf("after an hour: %+v", s)
	}
}

func TestRemotesAreBounded(t *testing.T) {
	r := NewRemotes(1e9)
	for i := range 3*maxRemotes + 1 {
		r.Sent(remoteAt(i), limitStart)
	}
	if s := r.Stats(); s.Known != maxRemotes+1 || s.New != 3*maxRemotes+1 {
		t.Errorf("stats %+v", s)
	}
}

// Who does not wait is paid for by those who do, but does not starve them.
func TestSentRemotesCount(t *testing.T) {
	r, now := NewRemotes(10), limitStart
	for i := range 1000 {
		r.Sent(remoteAt(i), now)
	}
	if _, ok := r.Reserve(remoteAt(2000), now, maxLaterDelay/2); ok {
		t.Error("there is room, although a thousand were sent to")
	}
	if _, ok := r.Reserve(remoteAt(2000), now, maxLaterDelay); !ok {
		t.Error("those who wait starve")
	}
}

func TestNoLimitOnRemotes(t *testing.T) {
	r := NewRemotes(0)
	r.Sent(remoteAt(1), limitStart)
	if wait, ok := r.Reserve(remoteAt(1), limitStart, 0); wait != 0 || !ok || r.Stats() != (RemotesStats{}) {
		t.Errorf("Reserve = %v, %t, stats %+v", wait, ok, r.Stats())
	}
}
