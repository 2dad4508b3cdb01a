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

// tokens issues and checks write tokens: a keyed MAC over the asker's IP address
// and the target, so that a token proves the address, for one target only, and
// nothing has to be remembered. issue and valid are safe for concurrent use.
type tokens struct {
	secrets atomic.Pointer[[2]krpc.SipKey] // this rotation's and the last one's
}

// rotate replaces the older secret by a new one.
func (t *tokens) rotate(rng *rand.Rand) {
	next := [2]krpc.SipKey{krpc.NewSipKey(rng)}
	if old := t.secrets.Load(); old != nil {
		next[1] = old[0]
	} else {
		next[1] = krpc.NewSipKey(rng)
	}
	t.secrets.Store(&next)
}

// issue appends a token for the node at a to dst.
func (t *tokens) issue(dst []byte, a netip.Addr, target krpc.ID) []byte {
	mac := tokenMAC(t.secrets.Load()[0], a, target)
	return append(dst, mac[:]...)
}

// valid tells whether token was issued to a for target lately. Its time does not
// depend on how much of the token is right.
func (t *tokens) valid(token []byte, a netip.Addr, target krpc.ID) bool {
	if len(token) != TokenLen {
		return false
	}
	got := binary.LittleEndian.Uint64(token)
	for _, secret := range t.secrets.Load() {
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
