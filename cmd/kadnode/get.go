package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
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
		Long: `Find an item in the DHT (BEP 44) and print its value: a string of printable text as it
is, anything else as JSON on a line, with {"hex":"…"} for a string that is no such text.
Only --json and --raw tell a text that looks like JSON from what it looks like.

TARGET is the item's target in 40 hexadecimal or 32 base32 digits, or the public key of
a mutable item in 64 hexadecimal digits. If the item has a salt, it is needed too.

TARGET can also be a link such as magnet:?xs=urn:btpk:… (BEP 46), and then the info-hash
of the torrent that was published last is printed.

With --watch it looks every --interval until a signal ends that, and prints the newest
version on a line if it is newer than the last one printed: a text of several lines as a
JSON string. --timeout is for each look. Of an immutable item there is no other version:
it is printed, and that is the end.`,
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
	if o.watch {
		c.writeUntil(ctx)
	}
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
	// The lookup of an address family without nodes ends at once, and hides in err that the
	// other one's was cut short.
	cutShort := short.Err()
	switch {
	case !res.Found && cutShort != nil:
		return cutShort
	case !res.Found:
		return addr.notFound(err)
	case res.Item.Mutable() && cutShort != nil:
		fmt.Fprintln(c.stderr, "warning: not all nodes were heard in time: there may be a newer version")
	}
	if o.raw {
		_, err = c.out.w.Write(res.Item.V)
		return err
	}
	value := showValue(res.Item.V)
	return printItem(c.out, addr, &res, &value)
}

// notFound says in the words of the other commands that nothing is at a.
func (a *itemAddress) notFound(err error) error {
	switch {
	case !errors.Is(err, store.ErrNotFound):
		return err
	case a.bareKey:
		return errors.New("no item found; if it has a salt, give --salt")
	}
	return errors.New("no item found")
}

// printItem prints what was found at addr.
func printItem(out output, addr itemAddress, res *store.FindResult, value *shownValue) error {
	it, line, infoHash := &res.Item, value.line, ""
	if addr.torrent {
		ih, err := decodeTorrentUpdate(it.V)
		if err != nil {
			return err
		}
		infoHash = ih.String()
		line = infoHash
	}
	return out.print(line, struct {
		itemObject
		Sig      string          `json:"sig,omitempty"`
		Value    string          `json:"value_hex"` // bencoded
		Text     *string         `json:"text,omitempty"`
		JSON     json.RawMessage `json:"json,omitempty"`
		InfoHash string          `json:"infohash,omitempty"`
		Left     int64           `json:"left_seconds,omitempty"`
		Holders  int             `json:"holders"`
	}{
		describeItem(addr.target, it), hex.EncodeToString(it.Sig), hex.EncodeToString(it.V),
		value.text, value.json, infoHash, int64(res.Left / time.Second), res.Holders,
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
	short, cancel := context.WithTimeout(ctx, w.c.timeout)
	defer cancel()
	res, err := w.items.Get(short, w.addr.target, w.seen)
	switch {
	case ctx.Err() != nil:
		return true, nil
	case errors.Is(err, store.ErrNotNewer):
		w.report(nil)
		return false, nil
	case err != nil && !res.Found: // A newer one that was not heard of is for the next look.
		w.report(w.c.explain(w.addr.notFound(err), "answer"))
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
	value := showValue(res.Item.V)
	value.line = value.onOneLine()
	return !res.Item.Mutable(), printItem(w.c.out, w.addr, &res, &value)
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
