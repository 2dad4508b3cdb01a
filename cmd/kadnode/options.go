package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

// defaultHTTP is where metrics and health are served unless told otherwise.
const defaultHTTP = "127.0.0.1:9681"

// stateFile is the name of the node's state in the data directory.
const stateFile = "dht.state"

// lockFile is the name of the file that the process locks which uses the data
// directory. It stays: to remove a lock is to race with the next who takes it.
const lockFile = "lock"

// protocolVersion is the "v" of our messages.
const protocolVersion = "KN\x00\x01"

// maxAlpha is beyond what helps any lookup.
const maxAlpha = 64

// nodeOptions are the flags of every command that starts a node.
type nodeOptions struct {
	listen       []string
	bootstrap    []string
	allowPrivate bool
	k            int
	alpha        int
	alphaFirst   int
	logLevel     string
	logFormat    string
}

func (o *nodeOptions) addFlags(fs *pflag.FlagSet) {
	o.bootstrap = kademlia.DefaultBootstrap
	fs.Var(&listValue{items: &o.listen, kind: "addrs", check: checkListen}, "listen",
		"`addresses` to serve: IP:PORT, or :PORT for all addresses of the host")
	fs.Var(&listValue{items: &o.bootstrap, kind: "nodes", check: checkBootstrap}, "bootstrap",
		"`nodes` to join through, as HOST:PORT, or none")
	fs.BoolVar(&o.allowPrivate, "allow-private", false,
		"take loopback and private addresses for nodes and peers like others")
	o.addKademliaFlags(fs)
	o.addLogFlags(fs)
}

func (o *nodeOptions) addKademliaFlags(fs *pflag.FlagSet) {
	o.k, o.alpha, o.alphaFirst = kademlia.DefaultK, kademlia.DefaultAlpha, kademlia.DefaultAlphaFirst
	fs.Var(&intValue{&o.k, 1, kademlia.MaxK}, "k", "size of a bucket and of a lookup's result")
	fs.Var(&intValue{&o.alpha, 1, maxAlpha}, "alpha", "parallel queries of a lookup")
	fs.Var(&intValue{&o.alphaFirst, 1, maxAlpha}, "alpha-first", "the same until a first peer or item is found; alpha at least")
}

func (o *nodeOptions) addLogFlags(fs *pflag.FlagSet) {
	fs.Var(&choiceValue{&o.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "least severe level that is logged")
	fs.Var(&choiceValue{&o.logFormat, []string{"text", "json"}}, "log-format", "form of the log lines on standard error")
}

// runOptions are the flags of run.
type runOptions struct {
	nodeOptions
	capacity
	config    string
	dataDir   string
	sync      time.Duration
	http      string
	readOnly  bool
	rateLimit float64
	sendRate  float64
	remotes   float64
	blocklist []string
	readers   int
}

// leastRemotes is how many new addresses a second a node needs at the least to find its place
// and keep it.
const leastRemotes = 0.1

func (o *runOptions) addFlags(fs *pflag.FlagSet) {
	o.listen = []string{":6881"}
	o.http, o.logLevel, o.logFormat = defaultHTTP, "info", "text"
	o.rateLimit, o.sendRate, o.remotes = krpc.DefaultSourceRate, krpc.DefaultSendRate, krpc.DefaultSendRemotes
	o.sync = time.Second
	o.readers, o.capacity = 1, capacity{peersBytes: 256 << 20, peersHashes: 200_000, itemsBytes: 64 << 20}
	o.nodeOptions.addFlags(fs)
	fs.StringVar(&o.config, "config", "", "TOML `file` with flags' names as keys")
	fs.StringVar(&o.dataDir, "data-dir", "", "`directory` for what is kept over a restart; without one nothing is")
	fs.Var(syncValue{&o.sync}, "sync", "how often what is kept is made to outlast a crash of the machine: always, never, or a `time`")
	fs.Var(&httpValue{&o.http}, "http", "`address` for metrics and health, or none")
	fs.BoolVar(&o.readOnly, "read-only", false, "ask, but do not answer (BEP 43)")
	fs.Var(&rateValue{value: &o.rateLimit}, "rate-limit", "queries a second answered for one address; 0: any number")
	fs.Var(&rateValue{value: &o.sendRate}, "send-rate", "own queries a second; 0: any number")
	fs.Var(&rateValue{&o.remotes, leastRemotes}, "send-remotes", "new addresses a second that these go to, where nobody waits for them; 0: any number")
	fs.Var(&listValue{items: &o.blocklist, kind: "files", check: checkFile}, "blocklist",
		"`files` with addresses to have nothing to do with: one address, prefix or range a line, or P2P or ipfilter.dat; or none")
	fs.Var(&intValue{&o.readers, 1, 256}, "readers", "sockets, and so cores, for each address")
	fs.Var(&bytesValue{&o.peersBytes}, "peers-bytes", "most memory for announced peers")
	fs.Var(&intValue{&o.peersHashes, 1, math.MaxInt32}, "peers-hashes", "most info-hashes with announced peers")
	fs.Var(&bytesValue{&o.itemsBytes}, "items-bytes", "most memory for items that others put (BEP 44)")
}

// dhtConfig returns the configuration of a node, but for its log and callbacks.
func (o *nodeOptions) dhtConfig() kademlia.Config {
	return kademlia.Config{
		Listen:     expandListen(o.listen),
		Bootstrap:  orNone(o.bootstrap),
		K:          o.k,
		Alpha:      o.alpha,
		AlphaFirst: o.alphaFirst,
		AllowLocal: o.allowPrivate,
		Version:    protocolVersion,
	}
}

func (o *runOptions) dhtConfig() kademlia.Config {
	cfg := o.nodeOptions.dhtConfig()
	cfg.ReadOnly, cfg.Readers = o.readOnly, o.readers
	cfg.RateLimit, cfg.SendRate, cfg.SendRemotes = orUnlimited(o.rateLimit), orUnlimited(o.sendRate), orUnlimited(o.remotes)
	if o.dataDir != "" {
		cfg.StateFile = filepath.Join(o.dataDir, stateFile)
	}
	return cfg
}

// orUnlimited translates a rate flag into a configuration, where 0 is the default.
func orUnlimited(rate float64) float64 {
	if rate == 0 {
		return -1
	}
	return rate
}

func orNone(list []string) []string {
	if len(list) == 1 && list[0] == none {
		return nil
	}
	return list
}

// expandListen turns :PORT into all IPv4 addresses and, if the host has IPv6, all
// IPv6 ones.
func expandListen(list []string) []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, s := range list {
		if port, ok := strings.CutPrefix(s, ":"); ok {
			addrs = append(addrs, netip.MustParseAddrPort("0.0.0.0:"+port))
			if hostHasIPv6() {
				addrs = append(addrs, netip.MustParseAddrPort("[::]:"+port))
			}
			continue
		}
		addrs = append(addrs, netip.MustParseAddrPort(s))
	}
	return addrs
}

func hostHasIPv6() bool {
	c, err := net.ListenPacket("udp6", "[::]:0")
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// errLocked says that another process has the lock.
var errLocked = errors.New("in use by another process")

// openDataDir creates the data directory and takes it for this process until the
// lock is closed. That file also shows that the directory can be written. Without a
// directory, there is no lock.
func openDataDir(dir string) (lock *os.File, err error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := openLock(filepath.Join(dir, lockFile))
	switch {
	case err == errLocked:
		return nil, fmt.Errorf("data directory: %s is %w", dir, err)
	case err != nil:
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return f, nil
}
