package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/tracker"
)

func newAnnounceCommand() *cobra.Command {
	o := new(announceOptions)
	cmd := newLastingCommand(&cobra.Command{
		Use:   "announce HASH --port PORT",
		Short: "Announce this host as a peer of a torrent",
		Long: `Announce this host as a peer of a torrent. Nodes forget it after 30 to 45 minutes: with
--keep it is announced again every 15 minutes until a signal ends that, and --timeout is
for the first time.

HASH is an info-hash of 40 hexadecimal or 32 base32 digits, a magnet link, or the
name of a .torrent file.`,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client, args []string) error { return announce(ctx, c, args[0], o) })
	o.keepFlags.addFlags(cmd.Flags(), "announce it again every 15 minutes")
	cmd.Flags().Uint16Var(&o.Port, "port", 0, "`port` that the peer listens on")
	cmd.Flags().BoolVar(&o.ImpliedPort, "implied-port", false, "have nodes take the UDP port that the announce comes from, which --listen has to name")
	cmd.Flags().BoolVar(&o.Seed, "seed", false, "the peer has everything (BEP 33)")
	return cmd
}

// announceOptions are the flags of announce.
type announceOptions struct {
	tracker.AnnounceOptions
	keepFlags
}

func announce(ctx context.Context, c *client, hash string, o *announceOptions) error {
	if o.Port == 0 && !o.ImpliedPort {
		return usagef("--port is required, 1 to 65535, unless --implied-port is given")
	}
	if o.ImpliedPort && slices.ContainsFunc(c.dhtConfig().Listen, func(a netip.AddrPort) bool { return a.Port() == 0 }) {
		return usagef("--implied-port wants --listen with the port of the peer: by default the announce comes from any free port")
	}
	short, cancel, err := o.begin(ctx, c)
	if err != nil {
		return err
	}
	defer cancel()
	ih, srv, err := c.joinFor(short, hash, o.dataDir)
	if err != nil {
		return err
	}
	defer srv.close()
	res, err := srv.tracker.Announce(short, ih, o.AnnounceOptions)
	for _, f := range res.Failures {
		c.log.Warn("not stored", "node", f.Node.Addr, "id", f.Node.ID, "err", f.Err)
	}
	if err != nil {
		return err
	}
	err = c.out.print(fmt.Sprintf("stored at %d of %d nodes", res.Stored, res.Asked), struct {
		Hash   string `json:"hash"`
		Stored int    `json:"stored"`
		Asked  int    `json:"asked"`
	}{ih.String(), res.Stored, res.Asked})
	if err != nil || !o.keep {
		return err
	}
	again := o.AnnounceOptions
	again.Reuse = true // now, with the tokens that are there already
	if err := srv.tracker.Track(ih, again); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
