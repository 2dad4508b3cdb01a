package load

import (
	"context"
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxSlots bounds the queries of an open loop that wait for a reply.
	maxSlots = 1 << 18
	// genBits are those of a transaction id that are not the number of a slot. They
	// tell a late reply from that to the next query of the slot.
	genBits = 32 - 18

	// closedTick and openTick are the longest waits for a reply before the clock is
	// looked at. At any rate above 1000 the replies themselves keep the open loop
	// going at shorter intervals, so that its queries do not come in bursts.
	closedTick = 20 * time.Millisecond
	openTick   = time.Millisecond
	// turn is how many queries of an open loop are sent before replies are looked
	// for: a batch of the socket. Those are at most as many.
	turn = 64
	// arrears is for how long queries that could not be sent in time are made up for.
	// The generator is what is overloaded then, and they count as not sent.
	arrears = 20 * time.Millisecond
	// sweepInterval is how often queries are looked through for lost ones.
	sweepInterval = 50 * time.Millisecond
)

// slot is a query that waits for its reply.
type slot struct {
	sent  time.Duration // since the start
	asker int           // index in Generator.askers, or in population if resident
	item  int           // what it is about, for the job
	gen   uint32
	kind  Kind
	live  bool
	// resident says that a node of the population asks.
	resident bool
}

// job is where queries come from and replies go to.
type job interface {
	// ask appends the next query to b, says in s whose it is, and keeps there what
	// it wants to know when the reply comes. nil: there is nothing to ask now.
	ask(s *slot, b []byte) []byte
	// answered takes the reply or error m to s, a datagram of size bytes. m is valid
	// during the call.
	answered(s *slot, m *krpc.Message, size int, rtt time.Duration)
	// lost says that s got no reply in time.
	lost(s *slot)
}

// pace says how fast a job goes, and for how long.
type pace struct {
	inFlight int           // of a closed loop
	rate     float64       // of an open loop, in queries a second; 0: closed
	lasts    time.Duration // after which nothing more is asked
	linger   bool          // until then go on, also when there is nothing left to ask
}

// untilDone is the time that a job may take which ends by itself.
const untilDone = time.Duration(math.MaxInt64)

// flight is the queries under way of one job.
type flight struct {
	job        job
	slots      []slot
	free       []uint32  // numbers of slots; the last one freed is taken first
	start, now time.Time // now is when the last batch was read
	dry        bool      // the job had nothing to ask
	due        uint64    // queries of the open loop so far
	behind     bool      // the open loop has more to send at once
	unsent     uint64    // of these, those for which there was no slot
	garbled    uint64    // datagrams from the target that are not KRPC
}

// reset empties f for a job. The time begins when that is done.
func (f *flight) reset(j job, slots int) {
	*f = flight{job: j, slots: f.slots, free: f.free[:0]}
	if len(f.slots) < slots {
		f.slots = append(f.slots, make([]slot, slots-len(f.slots))...)
		f.free = make([]uint32, 0, slots)
	}
	for i := range slots {
		f.slots[i].live = false
		f.free = append(f.free, uint32(slots-1-i))
	}
	f.start = time.Now()
	f.now = f.start
}

// elapsed returns the time since the start.
func (f *flight) elapsed() time.Duration { return f.now.Sub(f.start) }

// drive runs a job. It returns when nothing is left to ask, or may be asked any more,
// and nothing is waited for.
func (g *Generator) drive(ctx context.Context, j job, p pace) error {
	f := &g.flight
	slots, tick := p.inFlight, closedTick
	if p.rate > 0 {
		slots, tick = int(min(p.rate*g.cfg.Timeout.Seconds()+1, maxSlots)), openTick
	}
	f.reset(j, slots)
	sweep := f.start
	for {
		open := f.elapsed() < p.lasts && ctx.Err() == nil
		if f.behind = false; open {
			g.askMore(p)
		}
		idle := len(f.free) == slots
		if idle && (!open || f.dry && !p.linger) {
			return ctx.Err()
		}
		if err := g.hear(tick); err != nil {
			return err
		}
		if f.now.Sub(sweep) >= sweepInterval {
			sweep = f.now
			f.sweep(slots, g.cfg.Timeout)
		}
	}
}

// hear takes a batch of datagrams, for which it waits at most wait.
func (g *Generator) hear(wait time.Duration) error {
	f := &g.flight
	wake := f.now.Add(wait)
	if f.behind {
		wake = time.Time{}
	}
	n, err := g.client.Receive(wake)
	if err != nil {
		return err
	}
	f.now = time.Now()
	for i := range n {
		if from, at, b, ok := g.client.Datagram(i); ok && from == g.cfg.Target {
			g.take(at, b)
		}
	}
	g.client.Flush() // answers of the population
	return nil
}

// askMore asks what is due: in a closed loop as many queries as are not under way,
// in an open loop those that the clock demands, a turn of them at most.
func (g *Generator) askMore(p pace) {
	f := &g.flight
	f.dry = false
	most := len(f.free)
	if p.rate > 0 {
		due := uint64(f.elapsed().Seconds() * p.rate)
		if late := due - f.due; late > turn+uint64(p.rate*arrears.Seconds()) {
			f.unsent += late - turn
			f.due = due - turn
		}
		n := min(due-f.due, turn)
		f.due += n
		f.behind = f.due < due
		f.unsent += n - min(n, uint64(most))
		most = min(most, int(n))
	}
	for ; most > 0 && g.askOne(); most-- {
	}
	g.client.Flush()
}

// askOne sends the next query of the job, unless there is none.
func (g *Generator) askOne() bool {
	f := &g.flight
	i := f.free[len(f.free)-1]
	s := &f.slots[i]
	s.resident = false
	b := f.job.ask(s, g.client.Buffer())
	if b == nil {
		f.dry = true
		return false
	}
	f.free = f.free[:len(f.free)-1]
	s.live, s.sent = true, f.elapsed()
	s.gen = (s.gen + 1) % (1 << genBits)
	setTID(b, i<<genBits|s.gen)
	g.client.Push(g.asker(s).addr, g.cfg.Target, b)
	return true
}

// asker returns the node whose query s is.
func (g *Generator) asker(s *slot) *node {
	if s.resident {
		return &g.population[s.asker]
	}
	return &g.askers[s.asker]
}

// take takes one datagram of the target, which came to at.
func (g *Generator) take(at netip.Addr, b []byte) {
	f, m := &g.flight, &g.message
	if g.cfg.Echo {
		*m = krpc.Message{Kind: krpc.KindReply, TID: b[max(len(b)-tidEnd, 0):][:min(len(b), tidLen)]}
	} else if m.Decode(b) != nil {
		f.garbled++
		return
	}
	if m.Kind == krpc.KindQuery {
		g.serve(at, m)
		return
	}
	if len(m.TID) != tidLen {
		f.garbled++
		return
	}
	tid := binary.BigEndian.Uint32(m.TID)
	i := tid >> genBits
	if i >= uint32(len(f.slots)) {
		f.garbled++
		return
	}
	s := &f.slots[i]
	asked := g.asker(s).addr
	if !s.live || s.gen != tid&(1<<genBits-1) || at.IsValid() && asked.IsValid() && asked != at {
		return // too late
	}
	s.live = false
	f.free = append(f.free, i)
	f.job.answered(s, m, len(b), f.elapsed()-s.sent)
}

// sweep gives up the queries that have waited for too long.
func (f *flight) sweep(slots int, timeout time.Duration) {
	now := f.elapsed()
	for i := range f.slots[:slots] {
		if s := &f.slots[i]; s.live && now-s.sent > timeout {
			s.live = false
			f.free = append(f.free, uint32(i))
			f.job.lost(s)
		}
	}
}
