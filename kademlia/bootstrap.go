package kademlia

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
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

const (
	// resolveTimeout bounds the wait for the name servers.
	resolveTimeout = 10 * time.Second
	// resolveGrace bounds it when one of the hosts is known.
	resolveGrace = 500 * time.Millisecond
)

// ErrHostPort is what is wrong with an address that is not HOST:PORT.
var ErrHostPort = errors.New("want HOST:PORT, with a port of 1 to 65535")

// LookupFunc looks up the addresses of a host name.
type LookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// lookupSystem is the LookupFunc of the operating system.
func lookupSystem(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// Resolve returns the addresses of hosts, each HOST:PORT, looked up in parallel;
// once one is known, the others have half a second left. It is an error if none is
// found, and ErrHostPort if one of hosts makes no sense. lookup may be nil.
func Resolve(ctx context.Context, hosts []string, lookup LookupFunc) ([]netip.AddrPort, error) {
	if lookup == nil {
		lookup = lookupSystem
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	type answer struct {
		addrs []netip.AddrPort
		err   error
	}
	answers := make(chan answer)
	for _, h := range hosts {
		name, port, err := splitHostPort(h)
		go func() {
			var addrs []netip.AddrPort
			if err == nil {
				addrs, err = resolve(ctx, name, port, lookup)
			}
			answers <- answer{addrs, err}
		}()
	}
	var addrs []netip.AddrPort
	var failed error
	for range hosts { // the late ones end with ctx
		a := <-answers
		if len(addrs) == 0 && len(a.addrs) > 0 {
			defer time.AfterFunc(resolveGrace, cancel).Stop()
		}
		addrs = append(addrs, a.addrs...)
		if failed == nil || errors.Is(a.err, ErrHostPort) {
			failed = a.err // of many, the first one tells enough
		}
	}
	switch {
	case errors.Is(failed, ErrHostPort):
		return nil, failed
	case len(addrs) == 0 && len(hosts) > 1:
		return nil, fmt.Errorf("kademlia: none of %d hosts can be resolved: %w", len(hosts), failed)
	case len(addrs) == 0:
		return nil, fmt.Errorf("kademlia: %w", failed)
	}
	return addrs, nil
}

func resolve(ctx context.Context, name string, port uint16, lookup LookupFunc) ([]netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	ips, err := lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), port)
	}
	return addrs, nil
}

func splitHostPort(s string) (name string, port uint16, err error) {
	name, service, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("kademlia: %q: %w", s, ErrHostPort)
	}
	p, err := strconv.ParseUint(service, 10, 16)
	if err != nil || p == 0 || name == "" {
		return "", 0, fmt.Errorf("kademlia: %q: %w", s, ErrHostPort)
	}
	return name, uint16(p), nil
}
