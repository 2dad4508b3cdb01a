package scenario

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Broken is an invariant that does not hold.
type Broken struct {
	Scenario string
	Seed     uint64
	At       time.Duration // virtual, since the start
	What     string
	Replay   string   // the command that shows it again
	Trace    []string // the last that has happened
}

// Error implements error.
func (b *Broken) Error() string {
	return fmt.Sprintf("scenario: %s, seed %d, after %v: %s", b.Scenario, b.Seed, b.At, b.What)
}

// broken ends the run: an invariant does not hold.
func (w *world) broken(format string, args ...any) {
	panic(w.brokenBy(fmt.Sprintf(format, args...)))
}

func (w *world) brokenBy(what string) *Broken {
	return &Broken{Scenario: w.cfg.Scenario.Name, Seed: w.cfg.Seed, At: w.now(), What: what, Trace: w.history.lines()}
}

// name is how a host is called in traces.
func (h *host) name() string { return fmt.Sprintf("host %d (%v)", h.index, h.ends[0].addr.Addr()) }

// historyLen is how much of the past a Broken tells.
const historyLen = 256

// history is what has happened last.
type history struct {
	events [historyLen]event
	n      int // ever
}

// event is a datagram that has arrived or, with a text, something else.
type event struct {
	at     time.Duration
	host   int
	text   string
	from   netip.AddrPort
	kind   krpc.Kind
	method krpc.Method
	bytes  int
}

func (s *history) add(e event) {
	s.events[s.n%historyLen] = e
	s.n++
}

func (s *history) lines() (lines []string) {
	for i := max(0, s.n-historyLen); i < s.n; i++ {
		e := &s.events[i%historyLen]
		if e.text != "" {
			lines = append(lines, fmt.Sprintf("%-14v host %d %s", e.at, e.host, e.text))
			continue
		}
		what := e.method.String()
		switch e.kind {
		case krpc.KindReply:
			what = "reply"
		case krpc.KindError:
			what = "error"
		case 0:
			what = "no KRPC"
		}
		lines = append(lines, fmt.Sprintf("%-14v host %d gets from %v: %s, %d bytes", e.at, e.host, e.from, what, e.bytes))
	}
	return lines
}

// note takes note of what happens to a host.
func (w *world) note(h *host, text string) {
	w.history.add(event{at: w.now(), host: h.index, text: text})
}

// trace takes note of a datagram that has arrived at e; m is what it says unless bad is set.
func (w *world) trace(e *end, from netip.AddrPort, m *krpc.Message, bad error, size int) {
	ev := event{at: w.now(), host: e.host.index, from: from, bytes: size}
	if bad == nil {
		ev.kind, ev.method = m.Kind, m.Method
	}
	w.history.add(ev)
}
