// Command rival serves a node of github.com/anacrolix/dht that stores peers, knows
// nobody and has no limit on what it sends, for "kadnode bench" to measure.
//
//	rival IP:PORT    serves until killed
package main

import (
	"fmt"
	"log"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/krpc"
	peer_store "github.com/anacrolix/dht/v2/peer-store"
)

// minNodes is how many nodes have to have asked us before we look at them.
const minNodes = 8

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rival IP:PORT")
		os.Exit(2)
	}
	conn, err := net.ListenPacket("udp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	cfg := dht.NewDefaultServerConfig()
	cfg.Conn = conn
	cfg.PeerStore = &peers{swarms: make(map[peer_store.InfoHash]map[netip.AddrPort]struct{})}
	cfg.SendLimiter.SetLimit(math.MaxFloat64) // which is rate.Inf
	cfg.StartingNodes = func() ([]dht.Addr, error) { return nil, nil }
	server, err := dht.NewServer(cfg)
	if err != nil {
		log.Fatal(err)
	}
	for server.NumNodes() < minNodes {
		time.Sleep(100 * time.Millisecond)
	}
	server.TableMaintainer() // looks again only a minute later if it finds nobody
}

// peers is a peer store: that of the library forgets the ports.
type peers struct {
	mu     sync.RWMutex
	swarms map[peer_store.InfoHash]map[netip.AddrPort]struct{}
}

func (p *peers) AddPeer(hash peer_store.InfoHash, peer krpc.NodeAddr) {
	a := peer.ToNodeAddrPort().AddrPort
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swarms[hash] == nil {
		p.swarms[hash] = make(map[netip.AddrPort]struct{})
	}
	p.swarms[hash][netip.AddrPortFrom(a.Addr().Unmap(), a.Port())] = struct{}{}
}

func (p *peers) GetPeers(hash peer_store.InfoHash) (list []krpc.NodeAddr) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for a := range p.swarms[hash] {
		list = append(list, krpc.NodeAddr{IP: a.Addr().AsSlice(), Port: int(a.Port())})
	}
	return list
}
