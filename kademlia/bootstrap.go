package kademlia

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// DefaultBootstrap are public nodes of the mainline DHT, of several operators, so
// that none of them is relied on.
var DefaultBootstrap = []string{
	"dht.libtorrent.org:25401",
	"dht.transmissionbt.com:6881",
	"router.bt.ouinet.work:6881",
	"router.silotis.us:6881",
	"relay.pkarr.org:6881",
	"router.bittorrent.com:6881",
}

// resolveTimeout bounds the wait for the name servers.
const resolveTimeout = 10 * time.Second

// bootstrapHost is one bootstrap node as it was given.
type bootstrapHost struct {
	name string
	port uint16
}

// bootstrapList resolves the bootstrap nodes.
type bootstrapList struct {
	hosts  []bootstrapHost
	lookup func(context.Context, string) ([]netip.Addr, error)
}

func newBootstrapList(list []string, lookup func(context.Context, string) ([]netip.Addr, error)) (*bootstrapList, error) {
	b := &bootstrapList{lookup: lookup}
	if b.lookup == nil {
		b.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	for _, s := range list {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			return nil, fmt.Errorf("kademlia: bootstrap node %q: want HOST:PORT: %w", s, err)
		}
		p, err := strconv.ParseUint(port, 10, 16)
		if err != nil || p == 0 || host == "" {
			return nil, fmt.Errorf("kademlia: bootstrap node %q: want HOST:PORT", s)
		}
		b.hosts = append(b.hosts, bootstrapHost{host, uint16(p)})
	}
	return b, nil
}

func (b *bootstrapList) empty() bool { return len(b.hosts) == 0 }

// resolve returns the addresses of all hosts but self, looked up in parallel. The
// error says what could not be resolved, if there is no address at all.
func (b *bootstrapList) resolve(ctx context.Context, self netip.AddrPort) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found := make([][]netip.Addr, len(b.hosts))
	errs := make([]error, len(b.hosts))
	var lookups sync.WaitGroup
	for i, h := range b.hosts {
		if ip, err := netip.ParseAddr(h.name); err == nil {
			found[i] = []netip.Addr{ip}
			continue
		}
		lookups.Go(func() { found[i], errs[i] = b.lookup(ctx, h.name) })
	}
	lookups.Wait()
	var addrs []netip.AddrPort
	for i, h := range b.hosts {
		for _, ip := range found[i] {
			if a := netip.AddrPortFrom(ip.Unmap(), h.port); a != self {
				addrs = append(addrs, a)
			}
		}
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	return nil, errors.Join(errs...)
}
