package kademlia

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

var (
	asker   = netip.MustParseAddr("11.0.0.1")
	askedOf = krpc.ID{1, 2, 3}
)

func minutes(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }

// restarted is a node that goes on from the state file of another one.
func (l *lab) restarted(state NodeState) *Node {
	l.t.Helper()
	addr := simnet.Addr(100 + l.count)
	b, err := EncodeStates(map[netip.AddrPort]NodeState{addr: state})
	if err != nil {
		l.t.Fatal(err)
	}
	states, err := DecodeStates(b)
	if err != nil {
		l.t.Fatal(err)
	}
	n := l.node(addr, func(c *NodeConfig) { c.State = states[addr] })
	n.Start()
	return n
}

// until runs the clock until so long after the start of the lab.
func (l *lab) until(d time.Duration) { l.clock.Run(epoch.Add(d).Sub(l.clock.Now())) }

func TestTokensOutliveARestart(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		issued, saved, back, used float64 // in minutes; rotations are at 5, 10 and so on
		want                      bool
	}{
		{"at once", 2, 3, 3, 3, true},
		{"in the next rotation", 2, 3, 4, 9.9, true},
		{"after two rotations", 2, 3, 4, 10.1, false},
		{"a rotation before the stop", 2, 7, 8, 8, true},
		{"two rotations before the stop", 2, 11, 11.1, 11.1, false},
		{"down over a rotation", 2, 3, 9, 9, true},
		{"down over two rotations", 2, 3, 10.1, 10.1, false},
		{"down for an hour", 2, 3, 63, 63, false},
		{"killed after a rotation that was not saved", 7, 4, 8, 8, true},
		{"the same, a rotation on", 7, 4, 11, 14.9, true},
		{"the same, two rotations on", 7, 4, 11, 15.1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			n := l.node(simnet.Addr(1), nil)
			n.Start()
			var token []byte
			var state NodeState
			l.clock.AfterFunc(minutes(tt.issued), func() { token = n.AppendToken(nil, asker, askedOf) })
			l.clock.AfterFunc(minutes(tt.saved), func() { state = n.State() })
			l.until(minutes(tt.back))
			n = l.restarted(state)
			l.until(minutes(tt.used))
			if got := n.ValidToken(token, asker, askedOf); got != tt.want {
				t.Errorf("valid: %t, want %t", got, tt.want)
			}
			if !n.ValidToken(n.AppendToken(nil, asker, askedOf), asker, askedOf) {
				t.Error("a new token is not valid")
			}
		})
	}
}

// Who restarts again and again does not keep a token young.
func TestRestartsDoNotProlongTokens(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(1), nil)
	n.Start()
	token := n.AppendToken(nil, asker, askedOf)
	for m := 1.5; m < 30; m++ {
		l.until(minutes(m))
		n = l.restarted(n.State())
		if got, want := n.ValidToken(token, asker, askedOf), m < 10; got != want {
			t.Fatalf("after %v minutes valid: %t, want %t", m, got, want)
		}
	}
}

// Nobody knows how old secrets are that come from the future.
func TestTokensEndWhenTheClockIsSetBack(t *testing.T) {
	var before, after tokens
	before.restore(TokenState{}, epoch, testRand(1))
	token := before.issue(nil, asker, askedOf)
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{
		{0, true}, {time.Minute, true}, {-time.Second, false}, {-time.Hour, false},
		{1 << 62, false}, {-1 << 62, false},
	} {
		after.restore(*before.state.Load(), epoch.Add(tt.age), testRand(2))
		if got := after.valid(token, asker, askedOf); got != tt.want {
			t.Errorf("%v later: valid %t, want %t", tt.age, got, tt.want)
		}
		if d := after.untilRotation(epoch.Add(tt.age)); d <= 0 || d > tokenRotation {
			t.Errorf("%v later: the next rotation is in %v", tt.age, d)
		}
	}
}

// A new node has no secret that anybody knows.
func TestSecretsAreDrawn(t *testing.T) {
	var none, tok tokens
	none.state.Store(&TokenState{})
	forged := none.issue(nil, asker, askedOf)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		tok.restore(TokenState{}, epoch, rng)
		for range 4 {
			if tok.valid(forged, asker, askedOf) {
				t.Fatal("a token made with no secret is valid")
			}
			tok.rotate(epoch, rng)
		}
	}
}
