package kademlia

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// What was restored and could not be asked yet is not forgotten by an early end.
func TestEarlyEndKeepsWhatWasRestored(t *testing.T) {
	l := newLab(t)
	nodes := l.network(20)
	state := nodes[5].State()
	state.Contacts = append(state.Contacts, krpc.NodeInfo{ID: krpc.ID{1}, Addr: simnet.Addr(400)}) // slow, or gone
	n := l.node(simnet.Addr(30), func(c *NodeConfig) { c.State = state })
	n.Start()
	l.clock.Run(time.Second)
	if got := len(n.State().Contacts); got < len(state.Contacts) {
		t.Errorf("%d of %d contacts would be saved", got, len(state.Contacts))
	}
	l.clock.Run(time.Minute)
	if slices.ContainsFunc(n.State().Contacts, func(c krpc.NodeInfo) bool { return c.Addr == simnet.Addr(400) }) {
		t.Error("a contact that never answered is kept")
	}
}

// A successor has its predecessor's table at once. After a longer break nobody is taken on
// trust.
func TestFreshContactsAreServedAtOnce(t *testing.T) {
	l := newLab(t)
	state := l.network(20)[5].State()
	named := func(at int) int {
		n := l.node(simnet.Addr(at), func(c *NodeConfig) { c.State = state })
		return len(n.publish().contacts(krpc.ID{}, MaxK, 0))
	}
	if got := named(30); got < 10 {
		t.Errorf("%d contacts at once", got)
	}
	l.clock.Run(10 * time.Minute)
	if got := named(31); got != 0 {
		t.Errorf("%d contacts at once after 10 minutes", got)
	}
}

func TestStateSurvivesItsSavedForm(t *testing.T) {
	l := newLab(t)
	l.network(20)
	v4 := l.node(simnet.Addr(30), l.via(simnet.Addr(0)))
	v4.Start()
	l.clock.Run(time.Minute)
	states := map[netip.AddrPort]NodeState{
		simnet.Addr(30): v4.State(),
		simnet.Addr6(1): {IDs: []AddrID{{ID: krpc.ID{7}}, {simnet.Addr6(1).Addr(), krpc.ID{8}}}, Contacts: []krpc.NodeInfo{{ID: krpc.ID{9}, Addr: simnet.Addr6(5)}}},
	}
	b, err := EncodeStates(states)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeStates(b)
	if err != nil || len(got) != 2 {
		t.Fatal(err, len(got))
	}
	again, err := EncodeStates(got)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("%v: %q became %q", err, b, again)
	}
	if len(got[simnet.Addr(30)].Contacts) < 10 || got[simnet.Addr6(1)].IDs[1].Addr != simnet.Addr6(1).Addr() {
		t.Errorf("restored %+v", got)
	}
	if tokens, want := got[simnet.Addr(30)].Tokens, states[simnet.Addr(30)].Tokens; tokens.Secrets != want.Secrets || want.Rotated.Sub(tokens.Rotated).Abs() >= time.Second {
		t.Errorf("restored %v, want %v", tokens, want)
	}
	for i := range b {
		if _, err := DecodeStates(b[:i]); err == nil {
			t.Fatalf("a file torn at %d of %d bytes was accepted", i, len(b))
		}
	}
	if _, err := DecodeStates([]byte("d5:nodesle7:versioni2ee")); err == nil {
		t.Error("a version from the future was accepted")
	}
}

// A state file of a version that saved no tokens is read, and tokens that cannot be
// some are left out.
func TestStateWithoutTokensIsRead(t *testing.T) {
	const node = "8:contacts0:3:idsld4:addr0:2:id20:aaaaaaaaaaaaaaaaaaaaee6:listen13:11.0.0.1:6881"
	for name, tokens := range map[string]string{
		"none":  "",
		"empty": "6:tokensde",
		"short": "6:tokensd7:rotatedi1700000000e7:secrets3:abce",
	} {
		states, err := DecodeStates([]byte("d5:nodesld" + node + tokens + "ee7:versioni1ee"))
		s := states[netip.MustParseAddrPort("11.0.0.1:6881")]
		if err != nil || len(s.IDs) != 1 || s.Tokens != (TokenState{}) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func FuzzDecodeStates(f *testing.F) {
	b, err := EncodeStates(map[netip.AddrPort]NodeState{
		simnet.Addr(1): {
			IDs:      []AddrID{{simnet.Addr(2).Addr(), krpc.ID{1}}},
			Contacts: []krpc.NodeInfo{{ID: krpc.ID{9}, Addr: simnet.Addr(5)}},
			Tokens:   TokenState{[3]krpc.SipKey{krpc.NewSipKey(testRand(1))}, epoch},
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("d5:nodesle7:versioni1ee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		states, err := DecodeStates(b)
		if err != nil {
			return
		}
		if b, err = EncodeStates(states); err != nil {
			t.Fatal(err)
		}
		again, err := DecodeStates(b)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		for listen, s := range states {
			var tok tokens
			tok.restore(s.Tokens, epoch, testRand(1))
			if s.Tokens != again[listen].Tokens {
				t.Fatalf("%q: tokens %v became %v", b, s.Tokens, again[listen].Tokens)
			}
		}
	})
}
