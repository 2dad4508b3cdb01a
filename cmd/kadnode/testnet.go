package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia"
)

// testnetOptions are the flags of testnet.
type testnetOptions struct {
	nodeOptions
	nodes    int
	listenIP string
	basePort int
	http     string
	timeout  time.Duration
	json     bool
}

func (o *testnetOptions) addFlags(fs *pflag.FlagSet) {
	o.nodes, o.http = 20, none
	o.logLevel, o.logFormat = "warn", "text"
	fs.Var(&intValue{&o.nodes, 1, 1000}, "nodes", "number of nodes")
	fs.StringVar(&o.listenIP, "listen-ip", "127.0.0.1", "`address` of all nodes")
	fs.Var(&intValue{&o.basePort, 0, 65535}, "base-port", "port of the first node, the next ones follow; 0: any ports")
	fs.Var(&httpValue{&o.http}, "http", "`address` for metrics and health, or none")
	fs.DurationVar(&o.timeout, "timeout", time.Minute, "longest time until all have joined")
	o.addKademliaFlags(fs)
	o.addLogFlags(fs)
}

func newTestnetCommand() *cobra.Command {
	o := new(testnetOptions)
	cmd := &cobra.Command{
		Use:   "testnet",
		Short: "Run a DHT of many nodes in one process",
		Long: `Run a DHT of many nodes on one address of this host until a signal ends it. The
address to join it through is printed once all its nodes have joined.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fillFromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			return runTestnet(cmd.Context(), o, output{cmd.OutOrStdout(), o.json}, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().SortFlags = false
	o.addFlags(cmd.Flags())
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runTestnet(ctx context.Context, o *testnetOptions, out output, stderr io.Writer) (err error) {
	ip, err := netip.ParseAddr(o.listenIP)
	if err != nil || o.basePort+o.nodes > 65536 {
		return usagef("--listen-ip %s --base-port %d --nodes %d: want an IP address and ports up to 65535",
			o.listenIP, o.basePort, o.nodes)
	}
	log, _ := newLogger(stderr, &o.nodeOptions)
	net := &testnet{o: o, ip: ip, log: log, joined: make(chan int, o.nodes)}
	defer func() { err = errors.Join(err, net.close()) }()
	if err := net.start(); err != nil {
		return err
	}
	var web *httpServer
	if o.http != none {
		l, err := listenHTTP(o.http)
		if err != nil {
			return err
		}
		web = startHTTP(l, newHTTPHandler(net.servers, nil), log)
	}
	defer web.close()
	if err := net.awaitJoined(ctx); err != nil {
		return err
	}
	net.settle(ctx)
	err = out.print(net.bootstrap(), struct {
		Bootstrap string `json:"bootstrap"`
		Nodes     int    `json:"nodes"`
		HTTP      string `json:"http"`
	}{net.bootstrap(), o.nodes, web.address()})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// settleTimeout and settlePoll are how long, and how often, a testnet is looked at
// before its address is told.
const (
	settleTimeout = 10 * time.Second
	settlePoll    = 20 * time.Millisecond
)

// testnet is the nodes of a DHT of its own. Each has a tracker of its own too, as
// if it were on another host.
type testnet struct {
	o       *testnetOptions
	ip      netip.Addr
	log     *slog.Logger
	servers []*server
	joined  chan int // the index of a node that has joined, once each
}

// start starts all nodes: the first waits to be found, the others join through it.
func (t *testnet) start() error {
	for i := range t.o.nodes {
		cfg := t.config(i)
		if i > 0 {
			cfg.Bootstrap = []string{t.bootstrap()}
		}
		s, err := newServer(cfg, capacity{peersBytes: 4 << 20, peersHashes: 4096, itemsBytes: 4 << 20}, nil, t.log)
		if err != nil {
			return err
		}
		t.servers = append(t.servers, s)
		s.start()
	}
	return nil
}

func (t *testnet) config(i int) kademlia.Config {
	port := 0
	if t.o.basePort > 0 {
		port = t.o.basePort + i
	}
	told := false // Joined is called by one goroutine at a time
	return kademlia.Config{
		Listen:     []netip.AddrPort{netip.AddrPortFrom(t.ip, uint16(port))},
		K:          t.o.k,
		Alpha:      t.o.alpha,
		AlphaFirst: t.o.alphaFirst,
		AllowLocal: true,
		RateLimit:  -1, // all queries come from one address
		SendRate:   -1,
		Version:    protocolVersion,
		Joined: func(_ *kademlia.Node, err error) {
			if err == nil && !told {
				told = true
				t.joined <- i
			}
		},
	}
}

// bootstrap returns the address of the first node.
func (t *testnet) bootstrap() string { return t.servers[0].addrs()[0] }

// settle lets every node look around again, as it would in time, so that whoever
// comes finds the network as it will be.
func (t *testnet) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	enough := min(t.o.k, t.o.nodes-1)
	for _, far := range []byte{0, 0x40, 0x80} { // our own neighbourhood, and two others
		for _, s := range t.servers {
			id := s.dht.Nodes()[0].ID()
			id[0] ^= far
			s.dht.FindNode(ctx, id)
		}
	}
	for _, s := range t.servers {
		for ctx.Err() == nil {
			if st := s.dht.Nodes()[0].Stats(); st.Nodes() >= enough && st.Verifying == 0 {
				break
			}
			select {
			case <-time.After(settlePoll):
			case <-ctx.Done():
			}
		}
	}
}

func (t *testnet) awaitJoined(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.o.timeout)
	defer cancel()
	for n := range t.servers {
		select {
		case <-t.joined:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d nodes have joined: %w", n, len(t.servers), ctx.Err())
		}
	}
	return nil
}

func (t *testnet) close() error {
	var err error
	for _, s := range t.servers {
		err = errors.Join(err, s.close())
	}
	return err
}
