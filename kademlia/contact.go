package kademlia

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// instant is a time in nanoseconds since the table was made. It does not follow
// the system's clock when that is set.
type instant int64

// second is the second that an instant is in. It is what contacts keep of one, since there are
// so many of them, and lasts for 68 years.
type second int32

func (i instant) second() second  { return second(i / instant(time.Second)) }
func (s second) instant() instant { return instant(s) * instant(time.Second) }

// millis is a round-trip time in milliseconds; 0: not measured.
type millis uint16

func millisOf(rtt time.Duration) millis {
	if rtt <= 0 {
		return 0
	}
	return millis(min(max(rtt.Milliseconds(), 1), math.MaxUint16))
}

// contactRTT is a contact as far as a lookup that starts from it wants to know.
type contactRTT struct {
	krpc.NodeInfo
	rtt millis
}

// contact is an entry of the routing table, 56 bytes without pointers. Views of
// the table share the memory of its contacts: id and address never change once
// an entry is there, fails is atomic, and the rest belongs to the table.
type contact struct {
	compact
	rtt    millis // of the last reply
	fails  uint32 // atomic: queries unanswered since the last reply
	seen   second // of the last reply, or query if it ever replied
	tried  second // of the last ping or failure
	secure bool   // BEP 42 allows this id at this address
}

func newContact(n krpc.NodeInfo, rtt millis, now instant) contact {
	return contact{
		compact: compactOf(n),
		secure:  ValidID(n.ID, n.Addr.Addr()),
		rtt:     rtt,
		seen:    now.second(),
	}
}

// alive takes note of an answer.
func (c *contact) alive(now instant) {
	atomic.StoreUint32(&c.fails, 0)
	c.seen = now.second()
}

// quickerThan tells whether c is clearly quicker than o, as far as both were measured.
func (c *contact) quickerThan(o *contact) bool { return c.rtt > 0 && c.rtt < o.rtt/2 }

// answers tells whether nothing speaks against the contact being alive.
func (c *contact) answers() bool { return atomic.LoadUint32(&c.fails) == 0 }

// questionable is what BEP 5 calls a node that was silent for 15 minutes.
func (c *contact) questionable(now instant) bool {
	return now-c.seen.instant() >= instant(questionableAge)
}

// pingDue returns when a contact that stays silent is to be pinged: once it is
// questionable, and then at intervals that double with each failure.
func (c *contact) pingDue() instant {
	wait := instant(retryAge) << min(atomic.LoadUint32(&c.fails), 4)
	return max(c.seen.instant()+instant(questionableAge), c.tried.instant()+wait)
}
