package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// joinGrace is how long the node of one address family is waited for when the
// other one has joined.
const joinGrace = time.Second

// errNotJoined ends a command that finds no way into the DHT.
var errNotJoined = errors.New("no bootstrap node answered")

// clientOptions are the flags of the commands that start a temporary node.
type clientOptions struct {
	nodeOptions
	timeout time.Duration
	json    bool
}

func (o *clientOptions) addFlags(fs *pflag.FlagSet) {
	o.listen = []string{":0"}
	o.logLevel, o.logFormat = "error", "text"
	o.nodeOptions.addFlags(fs)
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "longest time to take")
}

// client is a command that runs on a temporary node.
type client struct {
	clientOptions
	stdin          io.Reader
	stdout, stderr *outlet
	out            output // to stdout
	log            *slog.Logger
	sendRate       float64 // see kademlia.Config
}

// clientRun is what a command does. ctx ends with a signal.
type clientRun func(ctx context.Context, c *client, args []string) error

// newClientCommand returns a command that calls run, until --timeout at most.
func newClientCommand(cmd *cobra.Command, run clientRun) *cobra.Command {
	return newLastingCommand(cmd, func(ctx context.Context, c *client, args []string) error {
		ctx, cancel, err := c.withTimeout(ctx)
		if err != nil {
			return err
		}
		defer cancel()
		return run(ctx, c, args)
	})
}

// newLastingCommand returns a command that calls run, which says itself what --timeout
// is for.
func newLastingCommand(cmd *cobra.Command, run clientRun) *cobra.Command {
	c := new(client)
	cmd.Flags().SortFlags = false
	c.addFlags(cmd.Flags())
	addJSONFlag(cmd, &c.json)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// KADNODE_LISTEN and KADNODE_DATA_DIR are those of the node that runs where we are
		// called, and KADNODE_PORT what Kubernetes sets for a service that is called kadnode.
		if err := fillFromEnvironment(cmd.Flags(), "listen", "port", "data-dir"); err != nil {
			return err
		}
		c.stdin = cmd.InOrStdin()
		c.stdout, c.stderr = &outlet{w: cmd.OutOrStdout()}, &outlet{w: cmd.ErrOrStderr()}
		c.writeUntil(cmd.Context())
		c.out = output{c.stdout, c.json}
		c.log, _ = newLogger(c.stderr, &c.nodeOptions)
		return c.explain(run(cmd.Context(), c, args), "answer")
	}
	return cmd
}

// withTimeout returns ctx as it ends with --timeout. What is written waits no longer for
// a reader either.
func (c *client) withTimeout(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if c.timeout <= 0 {
		return nil, nil, usagef("--timeout %v: want more than 0", c.timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	c.writeUntil(ctx)
	return ctx, cancel, nil
}

// writeUntil has writes wait for a reader until ctx ends, and a moment more. It is for
// before the node starts, which writes to the log.
func (c *client) writeUntil(ctx context.Context) {
	open := lingering(ctx)
	c.stdout.open, c.stderr.open = open, open
}

// explain returns err or, if it says no more than that the time is over, what has not come
// until then.
func (c *client) explain(err error, awaited string) error {
	switch err {
	case context.DeadlineExceeded:
		return fmt.Errorf("no %s within %v", awaited, c.timeout)
	case context.Canceled:
		return errors.New("interrupted")
	}
	return err
}

// config returns the configuration of a node that asks, but does not answer
// (BEP 43), and takes local addresses if it is sent to any.
func (c *client) config(contacts []netip.AddrPort) kademlia.Config {
	cfg := c.dhtConfig()
	cfg.ReadOnly, cfg.Bootstrap, cfg.SendRate = true, nil, c.sendRate
	cfg.AllowLocal = cfg.AllowLocal || slices.ContainsFunc(contacts, func(a netip.AddrPort) bool {
		return krpc.Class(a.Addr()) == krpc.AddrClassLocal
	})
	return cfg
}

// join starts a temporary node and waits until it has joined the DHT.
func (c *client) join(ctx context.Context) (*server, error) { return c.joinWith(ctx, "") }

// joinWith is join of a node that uses a data directory, if that is not empty.
func (c *client) joinWith(ctx context.Context, dataDir string) (*server, error) {
	hosts := orNone(c.bootstrap)
	if len(hosts) == 0 {
		return nil, usagef("--bootstrap %s: a temporary node needs one to join through", none)
	}
	addrs, err := kademlia.Resolve(ctx, hosts, nil)
	if err != nil {
		return nil, fmt.Errorf("no bootstrap node can be resolved: %w", err)
	}
	cfg := c.config(addrs)
	for _, a := range addrs {
		cfg.Bootstrap = append(cfg.Bootstrap, a.String())
	}
	outcomes := make(chan outcome, 16)
	cfg.Joined = func(n *kademlia.Node, err error) { trySend(outcomes, outcome{n, err}) }
	srv, err := openServer(cfg, dataDir, c.log)
	if err != nil {
		return nil, err
	}
	srv.start()
	if err := awaitJoined(ctx, len(srv.dht.Nodes()), outcomes); err != nil {
		srv.close()
		return nil, err
	}
	return srv, nil
}

// joinFor is joinWith, for a command about an info-hash or id given in any form.
func (c *client) joinFor(ctx context.Context, hash, dataDir string) (krpc.ID, *server, error) {
	id, err := readInput(ctx, c, func() (krpc.ID, error) { return parseInfoHash(hash) })
	if err != nil {
		return krpc.ID{}, nil, err
	}
	srv, err := c.joinWith(ctx, dataDir)
	return id, srv, err
}

// outcome is that of an attempt to join.
type outcome struct {
	n   *kademlia.Node
	err error
}

// awaitJoined returns nil when each of the nodes has tried to join and one of them
// has, and an error when all have failed twice: a datagram may get lost.
func awaitJoined(ctx context.Context, nodes int, outcomes <-chan outcome) error {
	attempts := make(map[*kademlia.Node]int)
	hopeless := 0
	var grace <-chan time.Time // set when one has joined
	for {
		select {
		case o := <-outcomes:
			attempts[o.n]++
			if o.err == nil && grace == nil {
				grace = time.After(joinGrace)
			}
			if o.err != nil && attempts[o.n] == 2 {
				hopeless++
			}
		case <-grace:
			return nil
		case <-ctx.Done():
			if grace == nil {
				return errNotJoined
			}
			return nil
		}
		if grace != nil && len(attempts) == nodes {
			return nil
		}
		if hopeless == nodes {
			return errNotJoined
		}
	}
}
