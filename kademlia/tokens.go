package kademlia

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// TokenLen is the length of a write token in bytes.
	TokenLen = 8
	// tokenRotation is how often the secret changes. A token is good for one to
	// two rotations (BEP 5).
	tokenRotation = 5 * time.Minute
)

// TokenState is what a node keeps of its write tokens over a restart. Whoever knows it
// can make tokens. The zero TokenState is none.
type TokenState struct {
	// Secrets are those of the next rotation, of this one and of the last. That of the
	// next is drawn ahead so that what was saved before a rotation, by a process that was
	// killed after it, has the secret of its last tokens.
	Secrets [3]krpc.SipKey
	Rotated time.Time // when this rotation began
}

// tokens issues and checks write tokens: a keyed MAC over the asker's IP address
// and the target, so that a token proves the address, for one target only, and
// nothing has to be remembered. issue and valid are safe for concurrent use.
type tokens struct {
	state atomic.Pointer[TokenState]
}

// restore goes on from s, with the rotations made up for that a node which was not
// down would have made since. It begins anew if that leaves no secret, or if s is from
// the future: nobody knows how old it is since the clock was set back.
func (t *tokens) restore(s TokenState, now time.Time, rng *rand.Rand) {
	age := now.Sub(s.Rotated)
	if age < 0 || age >= time.Duration(len(s.Secrets))*tokenRotation {
		next, this := krpc.NewSipKey(rng), krpc.NewSipKey(rng)
		t.state.Store(&TokenState{[...]krpc.SipKey{next, this, this}, now})
		return
	}
	t.state.Store(&s)
	for at := s.Rotated.Add(tokenRotation); !at.After(now); at = at.Add(tokenRotation) {
		t.rotate(at, rng)
	}
}

// rotate puts the next secret in the place of this one, and that in the place of the
// last.
func (t *tokens) rotate(now time.Time, rng *rand.Rand) {
	old := t.state.Load().Secrets
	t.state.Store(&TokenState{[...]krpc.SipKey{krpc.NewSipKey(rng), old[0], old[1]}, now})
}

// untilRotation returns how long this rotation goes on.
func (t *tokens) untilRotation(now time.Time) time.Duration {
	return min(max(0, t.state.Load().Rotated.Add(tokenRotation).Sub(now)), tokenRotation)
}

// issue appends a token for the node at a to dst.
func (t *tokens) issue(dst []byte, a netip.Addr, target krpc.ID) []byte {
	mac := tokenMAC(t.state.Load().Secrets[1], a, target)
	return append(dst, mac[:]...)
}

// valid tells whether token was issued to a for target lately. Its time does not
// depend on how much of the token is right.
func (t *tokens) valid(token []byte, a netip.Addr, target krpc.ID) bool {
	if len(token) != TokenLen {
		return false
	}
	got := binary.LittleEndian.Uint64(token)
	for _, secret := range t.state.Load().Secrets[1:] {
		mac := tokenMAC(secret, a, target)
		if binary.LittleEndian.Uint64(mac[:]) == got {
			return true
		}
	}
	return false
}

func tokenMAC(secret krpc.SipKey, a netip.Addr, target krpc.ID) [TokenLen]byte {
	var in [16 + krpc.IDLen]byte
	ip := a.As16()
	copy(in[:], ip[:])
	copy(in[16:], target[:])
	var mac [TokenLen]byte
	binary.LittleEndian.PutUint64(mac[:], secret.Sum(in[:]))
	for i, b := range mac {
		// No "1:t" may stand within a token: see SecureID.
		if b == ':' {
			mac[i] = ';'
		}
	}
	return mac
}
