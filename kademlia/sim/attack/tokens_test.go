package attack

import (
	"bytes"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// A token is good for one address, for one info-hash, and for ten minutes at most.
func TestTokensAreNeitherReplayedNorForged(t *testing.T) {
	f := newField(t, 40)
	node := f.Hosts[3]
	own, other := f.wire(t, Networks(1)), f.wire(t, Networks(2))
	ih, otherHash := krpc.RandomID(f.Rand), krpc.RandomID(f.Rand)
	r := own.ask(node.Addr, getPeers(ih))
	if r == nil || len(r.Token) == 0 {
		t.Fatalf("no token in %+v", r)
	}
	token, tried, taken := r.Token, 0, 0
	try := func(w *wire, ih krpc.ID, token []byte) bool {
		tried++
		r := w.ask(node.Addr, announcePeer(ih, 1, token))
		ok := r == nil || r.Kind != krpc.KindError || r.ErrorCode != krpc.CodeProtocol
		if ok {
			taken++
		}
		return ok
	}
	if try(other, ih, token) {
		t.Error("taken from another address")
	}
	if try(own, otherHash, token) {
		t.Error("taken for another info-hash")
	}
	for bit := range 8 * len(token) {
		forged := bytes.Clone(token)
		forged[bit/8] ^= 1 << (bit % 8)
		try(own, ih, forged)
	}
	// One's own tokens tell nothing of those of another address: linear checksums would.
	for n := range 200 {
		mine := own.ask(node.Addr, getPeers(krpc.ID{byte(n), 1}))
		theirs := other.ask(node.Addr, getPeers(krpc.ID{byte(n), 1}))
		if mine == nil || theirs == nil {
			t.Fatal("no answer")
		}
		forged := make([]byte, len(token))
		for i := range forged {
			forged[i] = token[i] ^ mine.Token[i] ^ theirs.Token[i]
		}
		try(other, ih, forged)
	}
	if taken > 0 {
		t.Errorf("%d of %d forged tokens were taken", taken, tried)
	}
	f.Clock.Run(4 * time.Minute)
	if !try(own, ih, token) {
		t.Error("refused within five minutes")
	}
	f.Clock.Run(7 * time.Minute)
	if try(own, ih, token) {
		t.Error("taken after more than ten minutes")
	}
	t.Logf("%d forged, replayed or old tokens, none was taken", tried-1)
}
