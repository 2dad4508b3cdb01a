// Command swap seeds or fetches one torrent with the client of
// github.com/anacrolix/torrent and its built-in DHT, which is all that it finds
// peers by.
//
//	swap -bootstrap HOST:PORT -dir DIR FILE.torrent    seeds what is in DIR, until killed
//	swap -bootstrap HOST:PORT -dir DIR magnet:...      fetches to DIR, then ends
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strings"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/torrent"
)

func main() {
	bootstrap := flag.String("bootstrap", "", "the `address` of the node to join the DHT through")
	dir := flag.String("dir", ".", "the `directory` of the torrent's files")
	port := flag.Int("port", 42069, "the port of the client, TCP and UDP")
	flag.Parse()
	if err := run(*bootstrap, *dir, *port, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

func run(bootstrap, dir string, port int, what string) error {
	node, err := netip.ParseAddrPort(bootstrap)
	if err != nil {
		return err
	}
	client, err := torrent.NewClient(config(node, dir, port))
	if err != nil {
		return err
	}
	defer client.Close()
	if !strings.HasPrefix(what, "magnet:") {
		if _, err := client.AddTorrentFromFile(what); err != nil {
			return err
		}
		select {}
	}
	t, err := client.AddMagnet(what)
	if err != nil {
		return err
	}
	<-t.GotInfo()
	fmt.Println("the metadata has arrived")
	t.DownloadAll()
	if !client.WaitAll() {
		return errors.New("the client has closed")
	}
	return nil
}

func config(node netip.AddrPort, dir string, port int) *torrent.ClientConfig {
	cfg := torrent.NewDefaultClientConfig()
	cfg.DataDir = dir
	cfg.Seed = true
	cfg.ListenPort = port
	cfg.DisableTrackers, cfg.DisablePEX, cfg.DisableWebtorrent = true, true, true
	cfg.NoDefaultPortForwarding = true
	cfg.DisableIPv6 = true
	cfg.DhtStartingNodes = func(string) dht.StartingNodesGetter {
		return func() ([]dht.Addr, error) {
			return []dht.Addr{dht.NewAddr(net.UDPAddrFromAddrPort(node))}, nil
		}
	}
	return cfg
}
