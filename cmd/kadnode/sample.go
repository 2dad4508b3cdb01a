package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker/indexer"
)

func newSampleCommand() *cobra.Command {
	o := &sweepOptions{rate: indexer.DefaultRate}
	all := false
	var cmd *cobra.Command
	cmd = newLastingCommand(&cobra.Command{
		Use:   "sample HOST:PORT... | --all",
		Short: "List info-hashes that nodes hold peers of",
		Long: `Ask nodes for a sample of the info-hashes that they hold peers of (BEP 51).

With --all every node of the DHT is asked once, and each info-hash is printed as a JSON
object when it is found: once for each address family that it is found in. The millions
of nodes of the public DHT take days at the default --rate, and there is no --timeout
unless one is given. A signal ends it early with status 0, --timeout with status 1; with
--checkpoint FILE the next call goes on from there. Nodes may want not to be asked again
for six hours: leave these between two complete sweeps.`,
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(ctx context.Context, c *client, args []string) error {
		switch flags := cmd.Flags(); {
		case all == (len(args) > 0):
			return usagef("want nodes to ask, or --all")
		case !all && (flags.Changed("rate") || flags.Changed("checkpoint")):
			return usagef("--rate and --checkpoint want --all")
		}
		if all && !cmd.Flags().Changed("timeout") {
			return sweepAll(ctx, c, o)
		}
		short, cancel, err := c.withTimeout(ctx)
		if err != nil {
			return err
		}
		defer cancel()
		if all {
			return sweepAll(short, c, o)
		}
		return askHosts(short, c, args, askSample, c.printSample)
	})
	fs := cmd.Flags()
	fs.BoolVar(&all, "all", false, "ask every node of the DHT")
	fs.Var(&rateValue{value: &o.rate}, "rate", "with --all: nodes asked a second, in each address family")
	fs.StringVar(&o.checkpoint, "checkpoint", "", "with --all: `file` that says how far it is, and is gone on from if it exists")
	return cmd
}

// sample is what a node answers to sample_infohashes.
type sample struct {
	node     krpc.NodeInfo
	hashes   []string
	num      int64         // info-hashes that it holds
	interval time.Duration // until it has others
}

// errNoSample says that a node has answered, but not with a sample.
var errNoSample = errors.New("no sample in its answer: it does not support BEP 51")

// askSample asks the node at addr, from a node of its family.
func askSample(ctx context.Context, d *kademlia.DHT, addr netip.AddrPort) (sample, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	at := slices.IndexFunc(d.Nodes(), func(n *kademlia.Node) bool { return n.Is6() == addr.Addr().Is6() })
	if at < 0 {
		return sample{}, errors.New("no node of its address family here: see --listen")
	}
	type outcome struct {
		s   sample
		err error
	}
	outcomes := make(chan outcome, 1)
	n := d.Nodes()[at]
	n.Query(krpc.NodeInfo{Addr: addr}, krpc.MethodSampleInfohashes,
		func(m *krpc.Message) { m.HasTarget, m.Target = true, n.ID() },
		func(r *krpc.Message, _ time.Duration, err error) {
			o := outcome{err: err}
			if err == nil {
				o.s, o.err = readSample(addr, r)
			}
			outcomes <- o
		})
	select {
	case o := <-outcomes:
		return o.s, o.err
	case <-ctx.Done():
		return sample{}, ctx.Err()
	}
}

func readSample(addr netip.AddrPort, r *krpc.Message) (sample, error) {
	if r.Samples == nil {
		return sample{}, errNoSample
	}
	s := sample{node: krpc.NodeInfo{ID: r.ID, Addr: addr}, hashes: []string{}, num: max(r.Num, 0)}
	s.interval = time.Duration(min(max(r.Interval, 0), int64(indexer.MaxInterval/time.Second))) * time.Second
	for b := range slices.Chunk(r.Samples[:len(r.Samples)/krpc.IDLen*krpc.IDLen], krpc.IDLen) {
		s.hashes = append(s.hashes, krpc.ID(b).String())
	}
	return s, nil
}

// printSample prints a line about the node, and one for each info-hash.
func (c *client) printSample(host string, s sample) error {
	text := fmt.Sprintf("%s %s: %d of %d info-hashes, others in %v", s.node.Addr, s.node.ID, len(s.hashes), s.num, s.interval)
	return c.out.print(strings.Join(append([]string{text}, s.hashes...), "\n"), struct {
		Host     string   `json:"host"`
		Addr     string   `json:"addr"`
		ID       string   `json:"id"`
		Num      int64    `json:"num"`
		Interval float64  `json:"interval_seconds"`
		Samples  []string `json:"samples"`
	}{host, s.node.Addr.String(), s.node.ID.String(), s.num, s.interval.Seconds(), s.hashes})
}
