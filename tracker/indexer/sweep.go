package indexer

import (
	"errors"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxTries is how often a node is asked that does not answer, unless nobody did.
	maxTries = 2
	// patience is how long the last nodes asked in a zone are waited for, in case they
	// name more of it. Nine in ten answer within a second; most others are dead, and
	// all would be waited for the hard timeout. What comes late still counts.
	patience = 2 * time.Second
	// maxFromReply bounds the nodes taken from one reply: the largest lists that
	// honest nodes send have 20. maxSamples is what the largest datagrams hold.
	maxFromReply = 20
	maxSamples   = krpc.MaxDatagram / krpc.IDLen

	// After a lookup that nobody answers, the next one waits for outagePause, and
	// after maxLonely of them there is none.
	outagePause = time.Minute
	maxLonely   = 5
	// maxNetwork bounds the first estimate of the number of nodes, which a liar may
	// have a hand in: several times as many as were ever counted.
	maxNetwork = 1 << 27
)

// step does what is to be done now.
func (ix *Indexer) step() {
	for !ix.over {
		now := ix.clock.Now()
		switch {
		case len(ix.queue) == 0:
			if !ix.moveOn(now) {
				return
			}
		case len(ix.asked) >= ix.bounds.asked:
			return
		default:
			if wait, ok := ix.pacer.TryReserve(now, 0); !ok {
				ix.wakeIn(wait)
				return
			}
			nd := ix.queue[0]
			ix.queue = ix.queue[1:]
			ix.ask(nd, now)
		}
	}
}

// ask asks nd for its sample, and for nodes where the zone needs them.
func (ix *Indexer) ask(nd *node, now time.Time) {
	nd.tries++
	nd.asked = now
	ix.asked[nd] = struct{}{}
	ix.lastAsked = now
	ix.totals.queries++
	target := ix.zone.target(nd.ID, ix.cfg.Rand)
	ix.events.Do(func() {
		ix.node.Query(nd.NodeInfo, krpc.MethodSampleInfohashes,
			func(m *krpc.Message) { m.HasTarget, m.Target = true, target },
			func(r *krpc.Message, rtt time.Duration, err error) {
				ix.do(func() { ix.ended(nd, r, rtt, err) })
			})
	})
}

// ended takes note of what became of the query to nd.
func (ix *Indexer) ended(nd *node, r *krpc.Message, rtt time.Duration, err error) {
	if ix.over {
		return
	}
	delete(ix.asked, nd)
	switch {
	case err == krpc.ErrClosed:
		ix.finish(err)
	case err == krpc.ErrBusy: // it was not sent
		nd.tries--
		ix.totals.queries--
		ix.queue = append(ix.queue, nd)
	case err == krpc.ErrBlocked:
		ix.visited(nd, nil, err)
	case err == nil || rtt > 0: // something came, if perhaps not what was asked for
		ix.lastHeard = ix.clock.Now()
		ix.visited(nd, r, err)
	default:
		ix.silent(nd, err)
	}
	ix.step()
}

// silent takes note that nd has not answered. Where nobody else has meanwhile, it may
// have been the network that was silent, and nd is not written off.
func (ix *Indexer) silent(nd *node, err error) {
	nd.blamed = nd.blamed || ix.lastHeard.After(nd.asked)
	switch {
	case nd.tries < maxTries:
		ix.queue = append(ix.queue, nd)
	case nd.blamed || nd.pardoned:
		ix.visited(nd, nil, err)
	default:
		ix.doubtful = append(ix.doubtful, nd)
	}
}

// pardon lets the nodes be asked anew that were silent when everybody was: once.
func (ix *Indexer) pardon() {
	for _, nd := range ix.doubtful {
		nd.tries, nd.pardoned = 0, true
	}
	ix.queue = append(ix.queue, ix.doubtful...)
	ix.doubtful = nil
}

// visited takes note that nd is not asked again.
func (ix *Indexer) visited(nd *node, r *krpc.Message, err error) {
	var refusal *krpc.Error
	nd.answered = err == nil || errors.As(err, &refusal)
	nd.until = ix.clock.Now().Add(MaxInterval)
	ix.totals.visited++
	here := ix.zone.contains(nd.ID)
	if here {
		ix.zone.visited++
	}
	if !nd.answered {
		return
	}
	ix.totals.answered++
	if here {
		ix.zone.answered++
	} else {
		ix.totals.behind++ // of a zone that was left while it was asked
	}
	if err == nil {
		ix.takeSamples(nd, r)
		ix.takeNodes(r)
	}
}

// takeSamples takes in the info-hashes of a reply. A node that knows of no BEP 51 may
// have answered the query as if it were find_node.
func (ix *Indexer) takeSamples(nd *node, r *krpc.Message) {
	if r.Samples == nil {
		return
	}
	interval := min(max(r.Interval, 0), int64(MaxInterval/time.Second))
	nd.until = ix.clock.Now().Add(time.Duration(interval) * time.Second)
	var fresh []krpc.ID
	n := min(len(r.Samples)/krpc.IDLen, maxSamples)
	for b := range slices.Chunk(r.Samples[:n*krpc.IDLen], krpc.IDLen) {
		if ih := krpc.ID(b); ix.seen.add(ih) {
			fresh = append(fresh, ih)
		}
	}
	t := &ix.totals
	t.supporting++
	t.samples += int64(n)
	t.hashes += int64(len(fresh))
	t.stored += min(max(r.Num, int64(n)), maxStored)
	if f := ix.cfg.OnSample; f != nil && len(fresh) > 0 {
		ix.events.Do(func() {
			for _, ih := range fresh {
				f(ih)
			}
		})
	}
}

func (ix *Indexer) takeNodes(r *krpc.Message) {
	taken := 0
	for n := range r.EachNode {
		if taken++; taken > maxFromReply {
			return
		}
		ix.found(n)
	}
}

// found takes note of a node: to be asked now, or in a later zone. What is found behind
// the zone is too late.
func (ix *Indexer) found(n krpc.NodeInfo) {
	switch {
	case n.Addr.Addr().Is6() != ix.node.Is6() || n.ID == ix.node.ID() || !ix.node.Usable(n.Addr):
	case ix.zone.contains(n.ID):
		switch nd, room := ix.zone.add(n); {
		case nd != nil:
			ix.queue = append(ix.queue, nd)
		case !room:
			ix.totals.dropped++
		}
	case ix.zone.isBefore(n.ID):
		ix.seeds.add(n)
	}
}

// moveOn goes on from where nobody is left to be asked. It reports false if there is
// something to wait for.
func (ix *Indexer) moveOn(now time.Time) bool {
	switch pause := ix.pauseEnd.Sub(now); {
	case ix.lookingUp:
		return false
	case pause > 0:
		ix.wakeIn(pause)
		return false
	case ix.zone == nil, ix.lonely > 0:
		// A random target tells how large the network is, and so the zones.
		ix.lookup(krpc.RandomID(ix.cfg.Rand))
		return false
	}
	return ix.leave(now)
}

// leave goes on to the next zone, if nobody in this one is left to hope for.
func (ix *Indexer) leave(now time.Time) bool {
	z := ix.zone
	next, more := z.next()
	switch wait := ix.lastAsked.Add(patience).Sub(now); {
	case len(ix.asked) > 0 && !more:
		return false
	case len(ix.asked) > 0 && wait > 0:
		ix.wakeIn(wait)
		return false
	case len(ix.doubtful) > 0, !z.lookedUp && float64(z.answered) < z.expected/2:
		// Nobody may have been heard for a while, or the seeds were too few to lead
		// everywhere.
		z.lookedUp = true
		ix.lookup(z.random(ix.cfg.Rand))
		return false
	}
	ix.totals.behind += z.answered
	if !more {
		ix.finish(nil)
		return false
	}
	ix.enter(next)
	return true
}

// enter begins the zone that starts at prefix.
func (ix *Indexer) enter(prefix uint64) {
	nodes := ix.estimate(prefix)
	ix.zone = newArea(zoneAt(prefix, nodes/float64(ix.bounds.aim)), nodes)
	for _, n := range ix.seeds.take(ix.zone.zone) {
		ix.found(n)
	}
}

// lookup looks up target, to find nodes of the zone.
func (ix *Indexer) lookup(target krpc.ID) {
	ix.lookingUp = true
	done := func(res kademlia.LookupResult) {
		size := ix.networkSize(target, res.Closest)
		ix.do(func() { ix.lookedUp(res, size) })
	}
	ix.events.Do(func() {
		ix.stop = ix.node.Lookup(kademlia.Lookup{Target: target, Kind: kademlia.LookupSample, Done: done})
	})
}

// lookedUp takes note of a lookup, and of the size of the network as it shows there.
func (ix *Indexer) lookedUp(res kademlia.LookupResult, size float64) {
	if ix.over {
		return
	}
	ix.lookingUp = false
	ix.totals.queries += int64(res.Queries)
	for range res.Queries {
		ix.pacer.Reserve(ix.clock.Now())
	}
	switch {
	case res.Err != nil:
		ix.finish(res.Err)
	case len(res.Closest) == 0:
		ix.alone()
	default:
		ix.lonely = 0
		if ix.zone == nil {
			ix.size = size
			ix.enter(0)
		}
		ix.pardon()
		for _, c := range res.Closest {
			ix.found(c.NodeInfo)
		}
	}
	ix.step()
}

// networkSize estimates the number of nodes from the k closest to a random target. It
// takes the largest of the estimates that there are: small zones only take longer, and
// in one that is too large there is no room for everybody.
func (ix *Indexer) networkSize(target krpc.ID, closest []kademlia.Contact) float64 {
	st := ix.node.Stats()
	size := max(1, st.NetworkSize, float64(st.Nodes()))
	if len(closest) >= ix.node.K() {
		size = max(size, kademlia.EstimateSize(target, closest))
	}
	return min(size, maxNetwork)
}

// alone takes note that nobody has answered a lookup. The network is down, more likely
// than everybody has gone: step looks again, and then again.
func (ix *Indexer) alone() {
	ix.pauseEnd = ix.clock.Now().Add(outagePause)
	if ix.lonely++; ix.lonely == maxLonely {
		ix.finish(ErrNoNodes)
	}
}
