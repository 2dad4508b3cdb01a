package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
)

// keepPoll is how often to see whether an item is still kept.
const keepPoll = 10 * time.Second

// putOptions are the flags of put.
type putOptions struct {
	source   valueSource
	key      string
	salt     salt
	seq, cas seqValue
	keepFlags
}

func newPutCommand() *cobra.Command {
	o := new(putOptions)
	cmd := newLastingCommand(&cobra.Command{
		Use:   "put [VALUE]",
		Short: "Store an item",
		Long: `Store an item in the DHT (BEP 44), for two hours unless it is put again.

VALUE, or the content of --file, is stored as a string, and can be found by its target
alone, which is the hash of it. With --key the item is mutable: it is signed, found by
the public key, and replaced by whatever is put with the same key and salt later.

--torrent and --infohash publish a torrent: who has the magnet link that is printed
finds the torrent that was published last (BEP 46).

With --keep the item is put again every hour until a signal ends that, and --timeout is
for the first time. If somebody else with the key publishes a newer version, the next of
these puts notices, and the status is 1.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(ctx context.Context, c *client, args []string) error { return put(ctx, c, o, args) })
	fs := cmd.Flags()
	o.source.addFlags(fs)
	fs.StringVar(&o.key, "key", "", "`file` with the key that signs a mutable item, see keygen")
	o.salt.addFlags(fs)
	fs.Var(&o.seq, "seq", "version of a mutable item; by default the next one, or that in the DHT if its value is the same")
	fs.Var(&o.cas, "cas", "with --seq: nodes that hold a newer version than this one refuse")
	o.keepFlags.addFlags(fs, "put it again every hour")
	return cmd
}

func put(ctx context.Context, c *client, o *putOptions, args []string) error {
	short, cancel, err := o.begin(ctx, c)
	if err != nil {
		return err
	}
	defer cancel()
	p, err := readInput(short, c, func() (*publication, error) { return o.read(c, args) })
	if err != nil {
		return err
	}
	srv, err := c.joinWith(short, o.dataDir)
	if err != nil {
		return err
	}
	defer srv.close()
	it, res, err := p.put(short, c, srv.items)
	if err != nil || !o.keep {
		return err
	}
	// With few holders it is soon lost: then Keep puts it again at once.
	return keep(ctx, srv.items, it, store.KeepOptions{Stored: 2*res.Stored >= c.k})
}

// publication is what put has to put.
type publication struct {
	value    []byte
	key      ed25519.PrivateKey // nil: the item is immutable
	salt     []byte
	seq, cas seqValue
	magnet   bool // the item has a magnet link
}

// read checks the flags and reads the files that they name.
func (o *putOptions) read(c *client, args []string) (*publication, error) {
	switch {
	case o.key == "" && o.source.isTorrent():
		return nil, usagef("--torrent and --infohash want --key")
	case o.key == "" && (o.salt.set || o.seq.set || o.cas.set):
		return nil, usagef("--salt, --salt-hex, --seq and --cas want --key")
	case o.cas.set && !o.seq.set:
		return nil, usagef("--cas wants --seq; without either, the newest version is replaced by compare and swap")
	case o.cas.set && o.cas.n > o.seq.n:
		return nil, usagef("--cas %d --seq %d: the version to replace cannot be newer than the one that replaces it", o.cas.n, o.seq.n)
	}
	p := &publication{salt: o.salt.bytes, seq: o.seq, cas: o.cas, magnet: o.source.isTorrent()}
	var err error
	if p.value, err = o.source.read(args, c.stdin); err != nil {
		return nil, err
	}
	if o.key != "" {
		if p.key, err = readKey(o.key, c.stderr); err != nil {
			return nil, err
		}
	}
	if _, err := p.item(); err != nil {
		return nil, usageError{reason(err)}
	}
	return p, nil
}

// item returns the item with the seq that was asked for.
func (p *publication) item() (store.Item, error) {
	if p.key == nil {
		return store.Immutable(p.value)
	}
	return store.Sign(p.key, p.salt, p.seq.n, p.value)
}

// put puts the item and prints what became of it.
func (p *publication) put(ctx context.Context, c *client, items *store.Items) (store.Item, store.PutResult, error) {
	it, res, err := p.store(ctx, items)
	for _, line := range failures(res.Failures) {
		fmt.Fprintln(c.stderr, "not stored:", line)
	}
	if err != nil {
		return it, res, notStored(&it, &res, err)
	}
	return it, res, c.out.print(p.report(&it, &res))
}

// notStored returns why it, which was to be put, is not stored.
func notStored(it *store.Item, res *store.PutResult, err error) error {
	switch {
	case errors.Is(err, store.ErrOutdated):
		return fmt.Errorf("seq %d is not stored: seq %d is there, which is newer", it.Seq, res.Newer.Seq)
	case errors.Is(err, store.ErrConflict) && res.Newer != nil:
		return fmt.Errorf("seq %d is not stored: it is there with another value", it.Seq)
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("seq %d is not stored: another version is there than --cas says", it.Seq)
	case errors.Is(err, store.ErrSeqOutOfRange):
		return fmt.Errorf("seq %d is there with another value: no version can follow", int64(math.MaxInt64))
	case errors.Is(err, store.ErrNotStored):
		return errors.New("no node has stored the item")
	}
	return reason(err)
}

func (p *publication) store(ctx context.Context, items *store.Items) (store.Item, store.PutResult, error) {
	if p.key != nil && !p.seq.set {
		return items.Update(ctx, p.key, p.salt, func(*store.Item) ([]byte, error) { return p.value, nil })
	}
	it, err := p.item()
	if err != nil {
		return it, store.PutResult{}, err
	}
	var o store.PutOptions
	if p.cas.set {
		o.Cas = &p.cas.n
	}
	res, err := items.Put(ctx, it, o)
	return it, res, err
}

// report returns what is printed of an item that was put.
func (p *publication) report(it *store.Item, res *store.PutResult) (text string, object any) {
	out := struct {
		itemObject
		Magnet string `json:"magnet,omitempty"`
		Stored int    `json:"stored"`
		Asked  int    `json:"asked"`
	}{describeItem(it.Target(), it), "", res.Stored, res.Asked}
	text = fmt.Sprintf("%s %s, stored at %d of %d nodes", out.Target, kindAndSeq(it), res.Stored, res.Asked)
	if p.magnet {
		out.Magnet = updateMagnet(it.K, it.Salt)
		text += "\n" + out.Magnet
	}
	return text, out
}

// keep puts the item again and again until ctx ends.
func keep(ctx context.Context, items *store.Items, it store.Item, o store.KeepOptions) error {
	if err := items.Keep(it, o); err != nil {
		return err
	}
	poll := time.NewTicker(keepPoll)
	defer poll.Stop()
	for items.Keeps(it.Target()) {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
		}
	}
	return errors.New("not kept any longer: somebody else with the key has published a newer version")
}

// failures returns for what reasons nodes have stored nothing, and how many for each,
// the most frequent first.
func failures(list []kademlia.StoreFailure) (lines []string) {
	count := make(map[string]int)
	for _, f := range list {
		count[reason(f.Err).Error()]++
	}
	for _, r := range slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(a, b))
	}) {
		lines = append(lines, fmt.Sprintf("%d of the nodes: %s", count[r], r))
	}
	return lines
}

// reason returns err without what a stranger may have put into it for a terminal to
// obey.
func reason(err error) error {
	if refused := new(krpc.Error); errors.As(err, &refused) {
		return errors.New(printable(err.Error()))
	}
	return err
}
