package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// question is what a node at an address can be asked.
type question[T any] func(ctx context.Context, d *kademlia.DHT, addr netip.AddrPort) (T, error)

// answer is what became of a question to one of the hosts that were asked.
type answer[T any] struct {
	host  string // as given
	value T
	err   error
}

// askHosts puts a question to hosts without joining the DHT, and shows each answer as
// it comes.
func askHosts[T any](ctx context.Context, c *client, hosts []string, ask question[T], show func(host string, value T) error) error {
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
	srv, err := newServer(c.config(all), keepNothing(), nil, c.log)
	if err != nil {
		return err
	}
	defer srv.close()
	srv.start()
	answers := make(chan answer[T], len(hosts))
	for i, h := range hosts {
		if err := unresolved[i]; err != nil {
			answers <- answer[T]{host: h, err: err}
			continue
		}
		go func() { answers <- askFirst(ctx, srv.dht, h, targets[i], ask) }()
	}
	failed := 0
	for range hosts {
		a := <-answers
		if a.err != nil {
			failed++
			c.log.Error("no answer", "node", a.host, "err", a.err)
			err = c.printNoAnswer(a.host, a.err)
		} else {
			err = show(a.host, a.value)
		}
		if err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d nodes did not answer", failed, len(hosts))
	}
	return nil
}

// printNoAnswer prints an object in the place of an answer; people have the log.
func (c *client) printNoAnswer(host string, err error) error {
	if !c.json {
		return nil
	}
	return c.out.print("", struct {
		Host  string `json:"host"`
		Error string `json:"error"`
	}{host, err.Error()})
}

// askFirst asks at all addresses of a host at once and returns the first answer.
func askFirst[T any](ctx context.Context, d *kademlia.DHT, host string, addrs []netip.AddrPort, ask question[T]) answer[T] {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer[T], len(addrs))
	var asking sync.WaitGroup
	for _, addr := range addrs {
		asking.Go(func() {
			v, err := ask(ctx, d, addr)
			answers <- answer[T]{host, v, err}
		})
	}
	var a answer[T]
	for range addrs {
		if a = <-answers; a.err == nil {
			break
		}
	}
	if errors.Is(a.err, context.DeadlineExceeded) {
		a.err = krpc.ErrTimeout // --timeout is shorter than that of queries
	}
	cancel()
	asking.Wait()
	return a
}
