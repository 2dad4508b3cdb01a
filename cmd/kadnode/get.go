package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/kademlia/store"
)

// minInterval is the shortest time between two looks at an item.
const minInterval = 5 * time.Second

// getOptions are the flags of get.
type getOptions struct {
	salt     salt
	raw      bool
	watch    bool
	interval time.Duration
}

func newGetCommand() *cobra.Command {
	o := &getOptions{interval: time.Minute}
	cmd := newLastingCommand(&cobra.Command{
		Use:   "get TARGET",
		Short: "Find an item",
		Long: `Find an item in the DHT (BEP 44) and print its value: of a string the text, and of
anything else JSON, with {"hex":"…"} for strings that are no text.

TARGET is the item's target in 40 hexadecimal or 32 base32 digits, or the public key of
a mutable item in 64 hexadecimal digits. If the item has a salt, it is needed too.

TARGET can also be a link such as magnet:?xs=urn:btpk:… (BEP 46), and then the info-hash
of the torrent that was published last is printed.

With --watch each newer version of a mutable item is printed on a line until a signal
ends that, and --timeout is for each look.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(ctx context.Context, c *client, args []string) error { return get(ctx, c, o, args[0]) })
	fs := cmd.Flags()
	o.salt.addFlags(fs)
	fs.BoolVar(&o.raw, "raw", false, "print the bencoded form of the value as it is, and no line end")
	fs.BoolVar(&o.watch, "watch", false, "stay, and print each newer version")
	fs.DurationVar(&o.interval, "interval", o.interval, "time between two looks of --watch, at least "+minInterval.String())
	return cmd
}

func get(ctx context.Context, c *client, o *getOptions, target string) error {
	switch {
	case o.raw && (c.json || o.watch):
		return usagef("--raw goes with neither --json nor --watch")
	case o.interval < minInterval:
		return usagef("--interval %v: want at least %v", o.interval, minInterval)
	}
	addr, err := parseItemAddress(target, o.salt)
	if err != nil {
		return err
	}
	short, cancel, err := c.withTimeout(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	srv, err := c.join(short)
	if err != nil {
		return err
	}
	defer srv.close()
	if o.watch {
		w := &watcher{c: c, items: srv.items, addr: addr, interval: o.interval}
		return w.run(ctx)
	}
	res, err := srv.items.Get(short, addr.target, store.GetOptions{Salt: addr.salt})
	switch {
	case err != nil:
		return notFound(err)
	case o.raw:
		_, err = c.out.w.Write(res.Item.V)
		return err
	}
	return printItem(c.out, addr, &res, showValue)
}

// notFound says so in the words of the other commands.
func notFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("no item found")
	}
	return err
}

// printItem prints what was found at addr.
func printItem(out output, addr itemAddress, res *store.FindResult, show func(v []byte) string) error {
	it := &res.Item
	value, infoHash := show(it.V), ""
	text := value
	if addr.torrent {
		ih, err := decodeTorrentUpdate(it.V)
		if err != nil {
			return err
		}
		infoHash = ih.String()
		text = infoHash
	}
	return out.print(text, struct {
		itemObject
		Sig      string `json:"sig,omitempty"`
		Value    string `json:"value_hex"` // bencoded
		Text     string `json:"text"`
		InfoHash string `json:"infohash,omitempty"`
		Left     int64  `json:"left_seconds,omitempty"`
		Holders  int    `json:"holders"`
	}{
		describeItem(addr.target, it), hex.EncodeToString(it.Sig), hex.EncodeToString(it.V),
		value, infoHash, int64(res.Left / time.Second), res.Holders,
	})
}

// watcher follows a mutable item.
type watcher struct {
	c        *client
	items    *store.Items
	addr     itemAddress
	interval time.Duration

	seen    store.GetOptions // what was printed last
	trouble string           // what was reported last; empty if all is well
}

// run looks again and again until ctx ends or there is nothing to wait for.
func (w *watcher) run(ctx context.Context) error {
	w.seen.Salt = w.addr.salt
	for {
		over, err := w.look(ctx)
		if over || err != nil {
			return err
		}
		select {
		case <-time.After(w.interval):
		case <-ctx.Done():
			return nil
		}
	}
}

// look looks once, and prints what is new. It reports whether nothing new can come.
func (w *watcher) look(ctx context.Context) (over bool, err error) {
	short, cancel, err := w.c.withTimeout(ctx)
	if err != nil {
		return true, err
	}
	defer cancel()
	res, err := w.items.Get(short, w.addr.target, w.seen)
	switch {
	case ctx.Err() != nil:
		return true, nil
	case errors.Is(err, store.ErrNotNewer):
		w.report(nil)
		return false, nil
	case err != nil:
		w.report(notFound(err))
		return false, nil
	}
	w.seen.Seen = &res.Item.Seq
	if w.addr.torrent {
		if _, err := decodeTorrentUpdate(res.Item.V); err != nil {
			w.report(err)
			return false, nil
		}
	}
	w.report(nil)
	return !res.Item.Mutable(), printItem(w.c.out, w.addr, &res, showLine)
}

// report says on standard error what is wrong, once.
func (w *watcher) report(err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
		if trouble != w.trouble {
			fmt.Fprintf(w.c.stderr, "kadnode: %s; waiting\n", trouble)
		}
	}
	w.trouble = trouble
}
