package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/kademlia"
)

var errNames = errors.New("sim: no name server answers")

// Revive starts a node again where h was killed, at the same address: with the state that it
// has left, by way of its saved form, or as one that has never been. h is that node from then
// on. It panics unless h is down and its address free.
func (w *World) Revive(h *Host, saved bool) {
	if !h.Down {
		panic("sim: Revive: the node is up")
	}
	var state kademlia.NodeState
	if saved {
		state = throughFile(h)
	}
	w.revived++
	h.Down = false
	h.Net = w.Net.Host(h.Addr, nil)
	w.install(h, state, rand.New(rand.NewPCG(^w.cfg.Seed, w.revived)))
	h.Start()
}

// throughFile returns what the node of h finds of its state after a restart.
func throughFile(h *Host) kademlia.NodeState {
	listen := h.LocalAddr()
	b, err := kademlia.EncodeStates(map[netip.AddrPort]kademlia.NodeState{listen: h.State()})
	if err != nil {
		panic(fmt.Sprintf("sim: Revive: %v", err))
	}
	states, err := kademlia.DecodeStates(b)
	if err != nil {
		panic(fmt.Sprintf("sim: Revive: %v", err))
	}
	return states[listen]
}

// Move gives h another address. Its node is not told: it has to find out from what others say.
func (w *World) Move(h *Host) {
	to := w.nextAddr()
	h.Net.Move(to)
	h.Addr = to
}

// FailNames has nodes that ask for their bootstrap addresses during the next d get an error, as
// when no name server answers.
func (w *World) FailNames(d time.Duration) { w.namesFailUntil = w.Clock.Now().Add(d) }
