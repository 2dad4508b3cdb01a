package store

import (
	"sync"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxRepublishing bounds the items that a node republishes at a time.
	maxRepublishing = 8
	// republishRetry is when an item that nobody took, or nobody could be found for, is
	// due again.
	republishRetry = time.Minute
)

// republisher puts the items of one shelf where they belong, each hour unless another
// node has done so meanwhile. What it puts carries the time that the item has left, so
// that those who hold an item cannot keep it alive without its publisher.
type republisher struct {
	items *Items
	n     *kademlia.Node
	shelf shelf

	mu      sync.Mutex // guards what follows
	timer   krpc.Timer
	running int
	closed  bool
}

func (r *republisher) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := republishMin
	if !r.shelf.empty() { // what has come back may be due before
		wait = 0
	}
	r.timer = r.items.clock.AfterFunc(wait, r.run)
}

// run is the timer.
func (r *republisher) run() {
	if !r.n.Joined() {
		r.wait(republishRetry)
		return
	}
	for _, target := range r.take(r.items.clock.Now()) {
		r.republish(target)
	}
}

// take returns the items that are due, if more may be begun, and sets the timer. What
// is put later is not due before republishMin has passed.
func (r *republisher) take(now time.Time) (due []krpc.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := now.Add(republishMin)
	for !r.closed && r.running < maxRepublishing {
		target, at, ok := r.shelf.takeDue(now)
		if !ok {
			if !at.IsZero() && at.Before(next) {
				next = at
			}
			r.timer.Reset(next.Sub(now))
			break
		}
		r.running++
		due = append(due, target)
	}
	return due
}

// wait sets the timer.
func (r *republisher) wait(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.timer.Reset(d)
	}
}

func (r *republisher) republish(target krpc.ID) {
	it, left, ok := r.shelf.get(target, r.items.clock.Now())
	if !ok {
		r.ended()
		return
	}
	o := PutOptions{TTL: left, Kind: kademlia.LookupRepublish, only: r.n}
	r.items.PutItem(*it, o, func(res PutResult, _ error) {
		now := r.items.clock.Now()
		switch {
		case res.Newer != nil:
			r.items.renewHeld(res.Newer, target, left)
		case res.Stored == 0:
			r.shelf.putOff(target, now.Add(republishRetry))
		default:
			r.items.counters.republished.Add(1)
			if r.superfluous(target, &res) {
				r.shelf.putOff(target, now.Add(Life))
			}
		}
		r.ended()
	})
}

// superfluous tells whether k nodes nearer to the target than this one have all taken
// the item: then they see to it from now on.
func (r *republisher) superfluous(target krpc.ID, res *PutResult) bool {
	var to []kademlia.Contact
	for _, l := range res.Lookups {
		to = append(to, l.Willing...)
	}
	return len(to) == r.n.K() && res.Stored == len(to) &&
		krpc.CompareDistance(to[len(to)-1].ID, r.n.ID(), target) < 0
}

// ended lets the next item have its turn.
func (r *republisher) ended() {
	r.mu.Lock()
	r.running--
	r.mu.Unlock()
	r.wait(0)
}

func (r *republisher) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
}
