package kademlia

import (
	"math"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// alarmAge is for how long a key is under alarm after the last lookup that found a crowd:
	// as long as what is announced to a crowd is missing elsewhere, and longer than the time
	// between two announces of a key.
	alarmAge = time.Hour
	// maxAlarms bounds the keys that are remembered to be under alarm; the one that was found
	// so longest ago goes, and its next lookup has to find out again.
	maxAlarms = 256
	// alarmPause is the time between two calls of NodeConfig.Alarmed at least.
	alarmPause = 10 * time.Second
	// surveyPause is the time between two surveys at least.
	surveyPause = time.Minute
)

// Alarm says that so many nodes have ids closer to a key than chance explains: somebody watches
// or hides what is stored there.
type Alarm struct {
	Target krpc.ID // the key, or our own id
	Own    bool    // it is our own id
	Nodes  int     // distinct networks that answered from so close
	// Expected is how many there would be by the estimated size of the network.
	Expected float64
}

// suspicion is an alarm to be, until lookups of random targets have confirmed it.
type suspicion struct {
	target krpc.ID
	shares []float64 // see sharesTo
	crowd
}

// suspect takes note that nodes seem to be a crowd around the target of s, and tells whether to go
// on past it: not if the network is as dense everywhere. If that has not just been seen, it is
// looked at now, and not when upkeep comes by.
func (n *Node) suspect(s suspicion) bool {
	switch {
	case n.underAlarm(s.target):
		n.raise(s.target, s.crowd)
		return true
	case n.settle(&s):
		return n.underAlarm(s.target)
	}
	if n.suspicion == nil {
		n.suspicion = &s
	}
	n.survey()
	return true
}

// settle makes an alarm of s if the latest lookups confirm it. If they do not, what was seen before
// them is forgotten: the network has grown. It reports false if there are too few of them.
func (n *Node) settle(s *suspicion) bool {
	latest, recent := n.sample.latest(n.table.at(n.now()).second())
	switch {
	case !recent:
		return false
	case latest.crowding(s.shares, n.cfg.K, confirmations).chance < confirmChance:
		n.raise(s.target, s.crowd)
	default:
		n.sample = latest
	}
	return true
}

// survey looks up random targets, now and not when upkeep comes by.
func (n *Node) survey() {
	now := n.now()
	if !n.surveyed.IsZero() && now.Sub(n.surveyed) < surveyPause {
		return
	}
	n.surveyed = now
	for range confirmations {
		n.lookup(Lookup{Target: krpc.RandomID(n.rng), Later: true})
	}
}

// raise notes that a lookup has found a crowd around target.
func (n *Node) raise(target krpc.ID, c crowd) {
	n.counters.alarms.Add(1)
	if n.alarms == nil {
		n.alarms, _ = simplelru.NewLRU[krpc.ID, time.Time](maxAlarms, nil) // fails for no positive size
	}
	now, known := n.now(), n.underAlarm(target)
	n.alarms.Add(target, now)
	if known || n.cfg.Alarmed == nil || !n.alarmTold.IsZero() && now.Sub(n.alarmTold) < alarmPause {
		return
	}
	n.alarmTold = now
	a := Alarm{Target: target, Own: target == n.table.self, Nodes: c.nodes, Expected: c.share * n.size.nodes(n.cfg.K)}
	n.later(func() { n.cfg.Alarmed(a) })
}

// reportAlarm logs what node n is alarmed of.
func (d *DHT) reportAlarm(n *Node, a Alarm) {
	what := "many nodes have ids close to a key, more than chance explains: somebody watches it, or hides what is stored there; lookups of it go on beyond them"
	if a.Own {
		what = "many nodes have ids close to our own, more than chance explains: somebody wants to be asked in our stead"
	}
	d.log.Warn(what, "listen", n.LocalAddr(), "key", a.Target, "nodes", a.Nodes, "expected", math.Round(a.Expected*100)/100)
}

// underAlarm tells whether a crowd was found around target lately.
func (n *Node) underAlarm(target krpc.ID) bool {
	if n.alarms == nil {
		return false
	}
	at, ok := n.alarms.Peek(target)
	return ok && n.now().Sub(at) < alarmAge
}

// alarmedKeys returns how many keys are under alarm.
func (n *Node) alarmedKeys() (count int) {
	if n.alarms == nil {
		return 0
	}
	for _, at := range n.alarms.Values() {
		if n.now().Sub(at) < alarmAge {
			count++
		}
	}
	return count
}
