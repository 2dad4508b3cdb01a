package tracker

import "encoding/binary"

// owner is the network whose announce a swarm began with: the three bytes of a /24, or 31 bits of
// a secret hash of a /48, since a site has any number of /64. The zero owner is nobody, and has no bound.
type owner uint32

const owner6 = 1 << 31

// ownerOf returns the owner of a swarm that p begins. A private network sits in one subnet.
func (sh *shard) ownerOf(p *peerKey) owner {
	switch {
	case p.local():
		return 0
	case p.family == v6:
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], p.head&p.site)
		return owner(sh.key.Sum(b[:])) | owner6
	default:
		return owner(p.head & p.site)
	}
}

// mayOwn tells whether p may begin one more swarm.
func (sh *shard) mayOwn(p *peerKey) bool {
	o := sh.ownerOf(p)
	return o == 0 || int(sh.owners[o]) < sh.limits.perOwner
}

// own charges the owner of p for sw, if nobody is yet.
func (sh *shard) own(sw *swarm, p *peerKey) {
	if sw.owner != 0 {
		return
	}
	if sw.owner = sh.ownerOf(p); sw.owner == 0 {
		return
	}
	if sh.owners == nil {
		sh.owners = make(map[owner]int32)
	}
	sh.owners[sw.owner]++
}

// disown gives back what the owner of sw was charged.
func (sh *shard) disown(sw *swarm) {
	if sw.owner == 0 {
		return
	}
	if sh.owners[sw.owner]--; sh.owners[sw.owner] == 0 {
		delete(sh.owners, sw.owner)
	}
}
