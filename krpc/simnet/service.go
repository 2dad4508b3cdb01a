package simnet

import "time"

// service is how a slow host works: one datagram after the other, each for as long.
type service struct {
	each time.Duration
	room int   // datagrams that may wait
	held int   // those that wait, the one that is worked on included
	free int64 // on the clock: when all of them are done
}

// SetService makes a slow host of h: it hands a datagram on only after having worked on it
// for the time each, one after the other. Up to queue more wait meanwhile, as in the buffer of
// a socket; those beyond vanish. What waits when the host goes down or closes is lost. each 0
// makes it a quick one again, and what waits goes on at the old pace.
//
// It panics if each or queue is negative.
func (h *Host) SetService(each time.Duration, queue int) {
	if each < 0 || queue < 0 {
		panic("simnet: SetService: negative time or queue")
	}
	if h.service == nil {
		h.service = &service{}
	}
	h.service.each, h.service.room = each, queue
}

// enqueue has p, which has arrived, wait for h if that is a slow host. It returns what becomes
// of p for now.
func (h *Host) enqueue(p *packet) fate {
	s := h.service
	if s == nil || s.each == 0 {
		return delivered
	}
	if s.held > s.room {
		return overflowed
	}
	now := h.net.clock.now
	s.held++
	s.free = max(s.free, now) + int64(s.each)
	p.host = h
	p.arrival.Reset(time.Duration(s.free - now))
	return waiting
}

// dequeue returns what becomes of p, which h has worked on.
func (h *Host) dequeue() fate {
	h.service.held--
	switch {
	case h.closed:
		return noHost
	case h.down:
		return hostDown
	}
	return delivered
}
