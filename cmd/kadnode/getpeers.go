package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func newGetPeersCommand() *cobra.Command {
	return newClientCommand(&cobra.Command{
		Use:   "get-peers HASH",
		Short: "Find the peers of a torrent",
		Long: `Find the peers of a torrent and print each as soon as it is found.

HASH is an info-hash of 40 hexadecimal or 32 base32 digits, a magnet link, or the
name of a .torrent file.`,
		Args: cobra.ExactArgs(1),
	}, getPeers)
}

func getPeers(ctx context.Context, c *client, args []string) error {
	ih, srv, err := c.joinFor(ctx, args[0], "")
	if err != nil {
		return err
	}
	defer srv.close()
	found := 0
	for peer, err := range srv.tracker.GetPeers(ctx, ih) {
		if err != nil {
			c.log.Warn("lookup cut short", "err", err)
			break
		}
		found++
		err := c.out.print(peer.String(), struct {
			Peer string `json:"peer"`
		}{peer.String()})
		if err != nil {
			return err
		}
	}
	c.log.Info("lookup ended", "hash", ih, "peers", found)
	if found == 0 {
		return errors.New("no peer found")
	}
	return nil
}
