package indexer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/anacrolix/torrent/bencode"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// checkpointVersion is the version of the saved form. A reader refuses others.
	checkpointVersion = 1
	// maxSaved bounds the nodes of a list: those of the largest zone, and some that were
	// asked before it.
	maxSaved = 4 * maxPerCell * maxAim / cellNodes
	maxTotal = 1 << 50 // of a count that is believed
)

// The saved form of a Checkpoint: a bencoded dictionary, with the nodes in the compact
// form of BEP 5 or BEP 32 and, where they were visited, the Unix time until which they
// are not to be asked in eight bytes more.
type savedCheckpoint struct {
	Answered []byte  `bencode:"answered"`
	Bits     int     `bencode:"bits"`
	Done     int     `bencode:"done"`
	Family   int     `bencode:"family"` // 4 or 6
	Fresh    []byte  `bencode:"fresh"`
	Prefix   []byte  `bencode:"prefix"`
	Seeds    []byte  `bencode:"seeds"`
	Silent   []byte  `bencode:"silent"`
	Size     int64   `bencode:"size"`
	Stale    []byte  `bencode:"stale"`
	Totals   []int64 `bencode:"totals"`
	Version  int     `bencode:"version"`
}

// all returns the counts in the order in which they are saved.
func (t *totals) all() []*int64 {
	return []*int64{
		&t.queries, &t.visited, &t.answered, &t.supporting, &t.samples, &t.hashes,
		&t.dropped, &t.stored, &t.behind,
	}
}

// EncodeCheckpoint returns the saved form of c: nil for the zero Checkpoint.
func EncodeCheckpoint(c Checkpoint) ([]byte, error) {
	if !c.begun {
		return nil, nil
	}
	out := savedCheckpoint{
		Version: checkpointVersion, Family: 4, Bits: c.zone.bits, Size: int64(c.size),
		Prefix:   binary.BigEndian.AppendUint64(nil, c.zone.prefix),
		Answered: appendVisits(nil, c.answered), Silent: appendVisits(nil, c.silent),
		Fresh: appendNodes(nil, c.fresh), Stale: appendNodes(nil, c.stale), Seeds: appendNodes(nil, c.seeds),
	}
	if c.v6 {
		out.Family = 6
	}
	if c.done {
		out.Done = 1
	}
	for _, n := range c.totals.all() {
		out.Totals = append(out.Totals, *n)
	}
	b, err := bencode.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("indexer: encode checkpoint: %w", err)
	}
	return b, nil
}

func appendVisits(dst []byte, visits []visit) []byte {
	for _, v := range visits {
		dst = krpc.AppendNode(dst, v.NodeInfo)
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.until.Add(time.Second-1).Unix()))
	}
	return dst
}

func appendNodes(dst []byte, nodes []krpc.NodeInfo) []byte {
	for _, n := range nodes {
		dst = krpc.AppendNode(dst, n)
	}
	return dst
}

// DecodeCheckpoint reads the form that EncodeCheckpoint writes, and nothing as the zero
// Checkpoint. Anything else is an error.
func DecodeCheckpoint(b []byte) (Checkpoint, error) {
	if len(b) == 0 {
		return Checkpoint{}, nil
	}
	var in savedCheckpoint
	if err := bencode.Unmarshal(b, &in); err != nil {
		return Checkpoint{}, fmt.Errorf("indexer: decode checkpoint: %w", err)
	}
	if in.Version != checkpointVersion {
		return Checkpoint{}, fmt.Errorf("indexer: decode checkpoint: version %d, want %d", in.Version, checkpointVersion)
	}
	c, err := in.checkpoint()
	if err != nil {
		return Checkpoint{}, fmt.Errorf("indexer: decode checkpoint: %w", err)
	}
	return c, nil
}

func (in *savedCheckpoint) checkpoint() (Checkpoint, error) {
	c := Checkpoint{begun: true, done: in.Done != 0, v6: in.Family == 6, size: float64(in.Size)}
	if in.Family != 4 && in.Family != 6 || in.Size < 1 || in.Size > maxNetwork || len(in.Prefix) != 8 {
		return c, errors.New("family, size or prefix make no sense")
	}
	c.zone = zone{binary.BigEndian.Uint64(in.Prefix), in.Bits}
	if in.Bits < 0 || in.Bits > maxBits || 64-bits.TrailingZeros64(c.zone.prefix) > in.Bits {
		return c, errors.New("no such zone")
	}
	counts := c.totals.all()
	if len(in.Totals) != len(counts) {
		return c, errors.New("totals are missing")
	}
	for i, n := range in.Totals {
		*counts[i] = min(max(n, 0), maxTotal)
	}
	r := nodeReader{v6: c.v6}
	c.answered, c.silent = r.visits(in.Answered), r.visits(in.Silent)
	c.fresh, c.stale, c.seeds = r.nodes(in.Fresh), r.nodes(in.Stale), r.nodes(in.Seeds)
	if len(c.seeds) > maxSeeds {
		return c, errors.New("too many seeds")
	}
	slices.SortFunc(c.seeds, func(a, b krpc.NodeInfo) int { return a.ID.Compare(b.ID) })
	return c, r.err
}

// nodeReader reads the lists of a saved checkpoint.
type nodeReader struct {
	v6  bool
	err error // the first one
}

func (r *nodeReader) visits(b []byte) (visits []visit) {
	r.each(b, 8, func(n krpc.NodeInfo, rest []byte) {
		until := int64(binary.BigEndian.Uint64(rest))
		visits = append(visits, visit{n, time.Unix(until, 0)})
	})
	return visits
}

func (r *nodeReader) nodes(b []byte) (nodes []krpc.NodeInfo) {
	r.each(b, 0, func(n krpc.NodeInfo, _ []byte) { nodes = append(nodes, n) })
	return nodes
}

// each calls f with each node of the list b, and the so many bytes that follow it.
func (r *nodeReader) each(b []byte, extra int, f func(n krpc.NodeInfo, rest []byte)) {
	width := krpc.IDLen + 4 + 2
	if r.v6 {
		width = krpc.IDLen + 16 + 2
	}
	if len(b)%(width+extra) != 0 || len(b)/(width+extra) > maxSaved {
		r.err = errors.New("a list of nodes is torn or too long")
		return
	}
	for e := range slices.Chunk(b, width+extra) {
		a, _ := krpc.ParseCompactAddr(e[krpc.IDLen:width])
		if a.Addr().Is6() != r.v6 {
			r.err = errors.New("a node of the other family")
			return
		}
		f(krpc.NodeInfo{ID: krpc.ID(e), Addr: a}, e[width:])
	}
}
