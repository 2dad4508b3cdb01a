package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/kademlia"
)

func newPingCommand() *cobra.Command {
	return newClientCommand(&cobra.Command{
		Use:   "ping HOST:PORT...",
		Short: "Ask nodes for their ids",
		Args:  cobra.MinimumNArgs(1),
	}, ping)
}

func ping(ctx context.Context, c *client, hosts []string) error {
	ask := func(ctx context.Context, d *kademlia.DHT, addr netip.AddrPort) (kademlia.PingResult, error) {
		return d.Ping(ctx, addr)
	}
	return askHosts(ctx, c, hosts, ask, func(host string, res kademlia.PingResult) error {
		rtt := res.RTT.Round(time.Microsecond)
		text := fmt.Sprintf("%s %s %v %s", res.Node.Addr, res.Node.ID, rtt, printable(res.Version))
		object := struct {
			Host    string  `json:"host"`
			Addr    string  `json:"addr"`
			ID      string  `json:"id"`
			RTT     float64 `json:"rtt_seconds"`
			Version string  `json:"version"`
			SeenAs  string  `json:"seen_as,omitempty"`
		}{host, res.Node.Addr.String(), res.Node.ID.String(), rtt.Seconds(), latin1(res.Version), ""}
		if res.SeenAs.IsValid() {
			object.SeenAs = res.SeenAs.String()
		}
		return c.out.print(strings.TrimSpace(text), object)
	})
}

// latin1 returns a text with a character for each byte of s.
func latin1(s string) string {
	var runes []rune
	for _, b := range []byte(s) {
		runes = append(runes, rune(b))
	}
	return string(runes)
}

// printable shows bytes that a stranger chose, such as a version, without any that a
// terminal would obey.
func printable(s string) string {
	return strings.Trim(strconv.QuoteToASCII(s), `"`)
}
