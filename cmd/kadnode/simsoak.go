package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim/scenario"
)

// soakTally is what random worlds have come to.
type soakTally struct {
	mu        sync.Mutex // guards what follows
	next      uint64     // seed
	left      int        // worlds to begin; below 0: any number
	worlds    int        // that have ended
	datagrams uint64
	virtual   time.Duration
	broken    error // the first
	told      time.Time
}

// soakObject is what is printed of it.
type soakObject struct {
	Verdict      scenario.Verdict `json:"verdict"`
	Worlds       int              `json:"worlds"` // that have ended
	FirstSeed    uint64           `json:"first_seed"`
	VirtualHours float64          `json:"virtual_hours"`
	Datagrams    uint64           `json:"datagrams"`
	Seconds      float64          `json:"seconds"`
	Broken       string           `json:"broken,omitempty"`
	Replay       string           `json:"replay,omitempty"`
}

// soak runs random worlds, one a core, until one is broken, the time is over, or all were run.
// They share nothing.
func (s *simulation) soak(ctx context.Context) error {
	began := time.Now()
	t := &soakTally{next: s.o.seed, left: -1, told: began}
	if s.o.seeds > 0 {
		t.left = s.o.seeds
	}
	timely := ctx
	if s.o.soak > 0 {
		var cancel context.CancelFunc
		timely, cancel = context.WithTimeout(ctx, s.o.soak)
		defer cancel()
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed, ok := t.take(timely); ok; seed, ok = t.take(timely) {
				s.soakOne(timely, t, seed)
			}
		})
	}
	workers.Wait()
	o := soakObject{
		Verdict: scenario.VerdictHeld, Worlds: t.worlds, FirstSeed: s.o.seed, VirtualHours: t.virtual.Hours(), Datagrams: t.datagrams,
		Seconds: time.Since(began).Seconds(),
	}
	verdict := "no invariant was broken"
	var b *scenario.Broken
	if errors.As(t.broken, &b) {
		o.Verdict, o.Broken, o.Replay, verdict = scenario.VerdictBroken, b.Error(), b.Replay, "an invariant was broken by seed "+fmt.Sprint(b.Seed)
	} else if ctx.Err() != nil {
		o.Verdict, verdict = scenario.VerdictInterrupted, "interrupted; no invariant was broken until then"
	}
	text := fmt.Sprintf("%d worlds from seed %d on, %.0f virtual hours, %d datagrams, in %.0f s: %s",
		o.Worlds, o.FirstSeed, o.VirtualHours, o.Datagrams, o.Seconds, verdict)
	if err := s.out.print(text, o); err != nil {
		return err
	}
	return s.explain(t.broken)
}

// take returns the seed of the next world, if there is to be one.
func (t *soakTally) take(ctx context.Context) (seed uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil || t.left == 0 || t.broken != nil {
		return 0, false
	}
	t.left--
	t.next++
	return t.next - 1, true
}

func (s *simulation) soakOne(ctx context.Context, t *soakTally, seed uint64) {
	mixture, _ := scenario.Named("everything")
	r, err := scenario.Run(scenario.Config{Scenario: mixture, Seed: seed, Progress: func(scenario.Progress) bool { return ctx.Err() == nil }})
	if errors.Is(err, scenario.ErrStopped) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken == nil {
		t.broken = err
	}
	t.worlds++
	t.datagrams += r.Sent
	t.virtual += time.Duration(r.Minutes * float64(time.Minute))
	if now := time.Now(); now.Sub(t.told) >= progressEvery {
		t.told = now
		fmt.Fprintf(s.stderr, "%d worlds, %.0f virtual hours, up to seed %d\n", t.worlds, t.virtual.Hours(), t.next-1)
	}
}
