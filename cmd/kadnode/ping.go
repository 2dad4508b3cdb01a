package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

func newPingCommand() *cobra.Command {
	return newClientCommand(&cobra.Command{
		Use:   "ping HOST:PORT...",
		Short: "Ask nodes for their ids",
		Args:  cobra.MinimumNArgs(1),
	}, ping)
}

// pinged is the outcome for one of the nodes that were asked.
type pinged struct {
	host   string // as given
	addr   netip.AddrPort
	result kademlia.PingResult
	err    error
}

func ping(ctx context.Context, c *client, hosts []string) error {
	targets := make([][]netip.AddrPort, len(hosts))
	unresolved := make([]error, len(hosts))
	var all []netip.AddrPort
	for i, h := range hosts {
		targets[i], unresolved[i] = kademlia.Resolve(ctx, []string{h}, nil)
		if err := unresolved[i]; errors.Is(err, kademlia.ErrHostPort) {
			return usagef("%w", err)
		}
		all = append(all, targets[i]...)
	}
	srv, err := newServer(c.config(all), tracker.SwarmsConfig{MaxBytes: 1, MaxHashes: 1}, c.log)
	if err != nil {
		return err
	}
	defer srv.close()
	srv.start()
	answers := make(chan pinged, len(hosts))
	for i, h := range hosts {
		if err := unresolved[i]; err != nil {
			answers <- pinged{host: h, err: err}
			continue
		}
		go func() { answers <- pingFirst(ctx, srv.dht, h, targets[i]) }()
	}
	failed := 0
	for range hosts {
		p := <-answers
		if p.err != nil {
			failed++
			c.log.Error("no answer", "node", p.host, "err", p.err)
			if !c.json {
				continue
			}
		}
		if err := p.print(c.out); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d nodes did not answer", failed, len(hosts))
	}
	return nil
}

// pingFirst pings all addresses of a host at once and returns the first answer.
func pingFirst(ctx context.Context, d *kademlia.DHT, host string, addrs []netip.AddrPort) pinged {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan pinged, len(addrs))
	var pings sync.WaitGroup
	for _, a := range addrs {
		pings.Go(func() {
			res, err := d.Ping(ctx, a)
			answers <- pinged{host, a, res, err}
		})
	}
	var p pinged
	for range addrs {
		if p = <-answers; p.err == nil {
			break
		}
	}
	if errors.Is(p.err, context.DeadlineExceeded) {
		p.err = krpc.ErrTimeout // --timeout is shorter than that of queries
	}
	cancel()
	pings.Wait()
	return p
}

func (p *pinged) print(out output) error {
	if p.err != nil {
		return out.print("", struct {
			Host  string `json:"host"`
			Error string `json:"error"`
		}{p.host, p.err.Error()})
	}
	rtt := p.result.RTT.Round(time.Microsecond)
	version := printable(p.result.Version)
	text := fmt.Sprintf("%s %s %v %s", p.addr, p.result.Node.ID, rtt, version)
	object := struct {
		Host    string  `json:"host"`
		Addr    string  `json:"addr"`
		ID      string  `json:"id"`
		RTT     float64 `json:"rtt_seconds"`
		Version string  `json:"version"`
		SeenAs  string  `json:"seen_as,omitempty"`
	}{p.host, p.addr.String(), p.result.Node.ID.String(), rtt.Seconds(), version, ""}
	if seen := p.result.SeenAs; seen.IsValid() {
		object.SeenAs = seen.String()
	}
	return out.print(strings.TrimSpace(text), object)
}

// printable shows the bytes of a version, which a stranger chose, without any
// that a terminal would obey.
func printable(version string) string {
	return strings.Trim(strconv.QuoteToASCII(version), `"`)
}
