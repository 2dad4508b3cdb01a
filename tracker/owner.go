package tracker

import "encoding/binary"

// owner is the network whose announce a swarm began with: the three bytes of a /24, or 31 bits of
// a secret hash of a /48, since a site has any number of /64. The zero owner is nobody, and has no bound.
// So it is with a swarm that others keep alive when the last peer of its owner has gone.
type owner uint32

const owner6 = 1 << 31

// family returns the family of an owner that is not nobody.
func (o owner) family() family {
	if o&owner6 != 0 {
		return v6
	}
	return v4
}

// ownerOf returns the owner of a swarm that p begins. A private network sits in one subnet.
func (sh *shard) ownerOf(p *peerKey) owner {
	if p.local() {
		return 0
	}
	return sh.networkOf(p.family, p.head)
}

// networkOf returns the network of an entry that begins with head.
func (sh *shard) networkOf(f family, head uint64) owner {
	if f == v4 {
		return owner(head & f.site())
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], head&f.site())
	return owner(sh.key.Sum(b[:])) | owner6
}

// mayOwn tells whether p may begin one more swarm.
func (sh *shard) mayOwn(p *peerKey) bool {
	o := sh.ownerOf(p)
	return o == 0 || int(sh.owners[o]) < sh.limits.perOwner
}

// own charges the owner of p for sw, which is nobody's.
func (sh *shard) own(sw *swarm, p *peerKey) {
	if sw.owner = sh.ownerOf(p); sw.owner == 0 {
		return
	}
	if sh.owners == nil {
		sh.owners = make(map[owner]int32)
	}
	sh.owners[sw.owner]++
}

// ownRestored charges the owner of p, which is about to be restored, if sw has nobody else. Who began a
// swarm is not recorded: if peers of several networks are restored it is nobody's, so that none
// is charged for what it perhaps only joined.
func (sh *shard) ownRestored(sw *swarm, p *peerKey) {
	switch {
	case sw.empty():
		sh.disown(sw)
		sh.own(sw, p)
	case sw.owner != 0 && sw.owner != sh.ownerOf(p):
		sh.disown(sw)
	}
}

// disown gives back what the owner of sw was charged.
func (sh *shard) disown(sw *swarm) {
	if sw.owner == 0 {
		return
	}
	if sh.owners[sw.owner]--; sh.owners[sw.owner] == 0 {
		delete(sh.owners, sw.owner)
	}
	sw.owner = 0
}

// ownersAmong looks for a peer of the owner's network among n entries of sw from entry i on, which
// are about to go. It returns the head of its entry.
func (sh *shard) ownersAmong(sw *swarm, f family, i, n int) (head uint64, found bool) {
	if sw.owner == 0 || sw.owner.family() != f {
		return 0, false
	}
	w := f.width()
	for b := sw.peers[f].b[i*w : (i+n)*w]; len(b) > 0; b = b[w:] {
		if head = binary.LittleEndian.Uint64(b); sh.networkOf(f, head) == sw.owner {
			return head, true
		}
	}
	return 0, false
}

// release disowns sw if nobody is left in the owner's network, of which one with that head has gone.
func (sh *shard) release(sw *swarm, f family, head uint64) {
	a, of := &sw.peers[f], peerKey{family: f, head: head}
	if a.nextIn(&of, f.site(), 0) == len(a.b) {
		sh.disown(sw)
	}
}
