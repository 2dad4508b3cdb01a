package sim

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// perCell is how many nodes of a cell there are on average, at most.
const perCell = 4

// byID finds nodes by their ids: a cell holds those whose ids begin with the same bits, and
// there are as many cells as it takes for them to be small. It holds each node under the id
// that it had when it was added.
type byID struct {
	cells [][]*Host // a power of two of them; none at first
	count int
}

// add adds h, or moves it to where its id is now.
func (b *byID) add(h *Host) {
	b.remove(h)
	if b.count >= perCell*len(b.cells) {
		b.grow()
	}
	h.listed, h.listedAs = true, h.ID()
	b.insert(h)
	b.count++
}

// remove takes h out, if it is there.
func (b *byID) remove(h *Host) {
	if !h.listed {
		return
	}
	h.listed = false
	cell := &b.cells[b.index(h.listedAs)]
	i := slices.Index(*cell, h)
	*cell = slices.Delete(*cell, i, i+1)
	b.count--
}

func (b *byID) insert(h *Host) {
	cell := &b.cells[b.index(h.listedAs)]
	*cell = append(*cell, h)
}

// grow doubles the cells.
func (b *byID) grow() {
	old := b.cells
	b.cells = make([][]*Host, max(2*len(old), 1))
	for _, cell := range old {
		for _, h := range cell {
			b.insert(h)
		}
	}
}

// index returns the cell of id.
func (b *byID) index(id krpc.ID) int {
	return int(uint64(binary.BigEndian.Uint32(id[:4])) << bits.TrailingZeros(uint(len(b.cells))) >> 32)
}

// closest returns the k nodes whose ids are closest to target, closest first.
func (b *byID) closest(target krpc.ID, k int) []*Host {
	var near []*Host
	if len(b.cells) == 0 {
		return nil
	}
	first := b.index(target)
	for i := range b.cells { // each is farther from target than those before it
		begun := len(near)
		near = append(near, b.cells[first^i]...)
		slices.SortFunc(near[begun:], func(a, b *Host) int { return krpc.CompareDistance(a.listedAs, b.listedAs, target) })
		if len(near) >= k {
			return near[:k]
		}
	}
	return near
}

// Closest returns the k nodes that are up and truly closest to target, closest first. A node
// that changes its id counts at the new one once it has joined there.
func (w *World) Closest(target krpc.ID, k int) []krpc.NodeInfo {
	near := w.byID.closest(target, k)
	for _, h := range near {
		if h.ID() != h.listedAs {
			w.byID.add(h)
			return w.Closest(target, k)
		}
	}
	infos := make([]krpc.NodeInfo, len(near))
	for i, h := range near {
		infos[i] = krpc.NodeInfo{ID: h.listedAs, Addr: h.Addr}
	}
	return infos
}

// hasJoined is the NodeConfig.Joined of h.
func (w *World) hasJoined(h *Host) {
	if h.listed && h.ID() != h.listedAs {
		w.byID.add(h)
	}
}
