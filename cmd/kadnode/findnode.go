package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newFindNodeCommand() *cobra.Command {
	return newClientCommand(&cobra.Command{
		Use:   "find-node ID",
		Short: "Find the nodes closest to an id",
		Long: `Find the nodes closest to an id: 40 hexadecimal digits, or any form of info-hash that
get-peers takes.`,
		Args: cobra.ExactArgs(1),
	}, findNode)
}

func findNode(ctx context.Context, c *client, args []string) error {
	target, srv, err := c.joinFor(ctx, args[0], "")
	if err != nil {
		return err
	}
	defer srv.close()
	found := 0
	for _, res := range srv.dht.FindNode(ctx, target) {
		c.log.Info("lookup ended", "hops", res.Hops, "queries", res.Queries, "took", res.Took, "err", res.Err)
		for _, n := range res.Closest {
			found++
			err := c.out.print(fmt.Sprintf("%s %s", n.ID, n.Addr), struct {
				ID   string `json:"id"`
				Addr string `json:"addr"`
				Hops int    `json:"hops"`
			}{n.ID.String(), n.Addr.String(), n.Hops})
			if err != nil {
				return err
			}
		}
	}
	if found == 0 {
		return errors.New("no node found")
	}
	return nil
}
