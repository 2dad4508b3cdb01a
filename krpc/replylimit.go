package krpc

// Whoever forges the source of a query has the reply sent to a victim. So a reply is at most so
// many times as long as its query, in bytes of UDP payload. Who has proved his address gets values
// of items (BEP 44) that are longer, see Extend.
const (
	// maxGain lets the smallest query for peers, of 94 bytes, still get a hundred of them less ten.
	maxGain = 10
	// strainedGain holds while more comes in than can be answered, for who has not proved his
	// address: a flood of queries in the names of others is the likeliest reason. It is room for
	// eight nodes, a token, and some peers of IPv4: for what a lookup goes on with.
	strainedGain = 4
)

// Brief tells whether the reply has to be a short one, since nobody knows whether the query comes
// from where it says, and we are under strain or do not wait to know. Then Room holds for values of
// items too, and nothing else is to be sent to the sender.
func (rq *Request) Brief() bool { return rq.brief }

// Room returns how many bytes may still be added to the reply until it is as long as it may be
// on the wire: MaxReply, or less for a short query; below 0 if it is longer.
func (rq *Request) Room() int {
	limit := rq.limit
	if limit == 0 { // made by a test
		limit = MaxReply
	}
	return limit - rq.Reply.length()
}

// ReservePing takes what a ping to the sender needs from what may be sent to him, to find out whether
// he is a node. It reports false if the reply, as it is now, leaves no room for it: then there is to
// be none.
func (rq *Request) ReservePing() bool {
	if rq.endpoint == nil { // made by a test
		return true
	}
	if rq.brief || rq.Reply.length()+rq.endpoint.pingLen > rq.allowance {
		return false
	}
	rq.allowance -= rq.endpoint.pingLen
	return true
}

// Extend lets the reply be limit bytes long, for the sake of a value that is sent whole or not at
// all. It reports false if it may be less, since nobody knows whether the query comes from where it
// says: see ErrUnproven. It is not for brief ones.
func (rq *Request) Extend(limit int) bool {
	rq.limit = limit
	e := rq.endpoint
	if e == nil || e.cfg.Proven == nil || rq.allowance >= limit || e.cfg.Proven.Has(rq.From.Addr(), rq.Now) {
		return true
	}
	rq.limit = rq.allowance
	return false
}

// Proved takes note that the sender of rq is where it says: it has sent back a token.
func (rq *Request) Proved() {
	if rq.endpoint != nil {
		rq.endpoint.cfg.Proven.Add(rq.From.Addr(), rq.Now)
	}
}
