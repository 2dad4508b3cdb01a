package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// keepFlags are the flags of the commands that announce or put once or, with --keep, again and
// again.
type keepFlags struct {
	keep    bool
	dataDir string
}

func (k *keepFlags) addFlags(fs *pflag.FlagSet, again string) {
	fs.BoolVar(&k.keep, "keep", false, "stay, and "+again)
	fs.StringVar(&k.dataDir, "data-dir", "", "with --keep: data `directory` that it is noted in, for any node that runs on that later to go on; see kept")
}

// begin returns the context of what --timeout is for.
func (k *keepFlags) begin(ctx context.Context, c *client) (context.Context, context.CancelFunc, error) {
	if k.dataDir != "" && !k.keep {
		return nil, nil, usagef("--data-dir wants --keep: what is done once is not noted")
	}
	short, cancel, err := c.withTimeout(ctx)
	if err == nil && k.keep {
		c.writeUntil(ctx)
	}
	return short, cancel, err
}

// openServer binds a temporary node, on a data directory if that is not empty. What is kept there
// for others it holds whatever their number, so that it is there for the node whose directory
// that is.
func openServer(cfg kademlia.Config, dataDir string, log *slog.Logger) (*server, error) {
	if dataDir == "" {
		return newServer(cfg, keepNothing(), nil, log)
	}
	lock, err := openDataDir(dataDir)
	if err != nil {
		return nil, err
	}
	j, err := newJournal(dataDir, time.Second, log)
	if err != nil {
		lock.Close()
		return nil, err
	}
	srv, err := newServer(cfg, capacity{math.MaxInt64 / 4, math.MaxInt32, math.MaxInt64 / 4}, j, log)
	if err != nil {
		lock.Close()
		return nil, err
	}
	srv.lock = lock
	if err = j.Load(); err == nil {
		err = j.Start()
	}
	j.Hold(true) // a snapshot would lack the items of addresses that this node does not have
	if err != nil {
		srv.close()
		return nil, err
	}
	return srv, nil
}

// keptOptions are the flags of kept.
type keptOptions struct {
	dataDir string
	forget  []string
	json    bool
}

func newKeptCommand() *cobra.Command {
	o := new(keptOptions)
	cmd := &cobra.Command{
		Use:   "kept --data-dir DIR",
		Short: "Show what the node of a data directory announces and puts again and again",
		Long: `Show what the node of a data directory announces and puts again and again, because
"announce --keep --data-dir" or "put --keep --data-dir" said so. The node does not run
meanwhile.

With --forget, which may be repeated, an info-hash is not announced any more, or an item
not put any more.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fillFromEnvironment(cmd.Flags(), "forget", "json"); err != nil {
				return err
			}
			return kept(o, output{cmd.OutOrStdout(), o.json}, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError})))
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&o.dataDir, "data-dir", "", "data `directory` of the node")
	fs.StringArrayVar(&o.forget, "forget", nil, "`info-hash` or target to forget, of 40 hexadecimal digits")
	addJSONFlag(cmd, &o.json)
	return cmd
}

func kept(o *keptOptions, out output, log *slog.Logger) error {
	if o.dataDir == "" {
		return usagef("--data-dir is required")
	}
	var forget []krpc.ID
	for _, s := range o.forget {
		id, err := krpc.ParseID(s)
		if err != nil {
			return usagef("--forget %s: want 40 hexadecimal digits", s)
		}
		forget = append(forget, id)
	}
	if _, err := os.Stat(filepath.Join(o.dataDir, journalDir)); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	// Nothing is sent or answered: it does not start.
	cfg := kademlia.Config{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}}
	srv, err := openServer(cfg, o.dataDir, log)
	if err != nil {
		return err
	}
	defer srv.close()
	if err := srv.forget(forget); err != nil {
		return err
	}
	for ih, how := range srv.tracker.TrackedHashes() {
		if err := out.print(describeTracked(ih, how)); err != nil {
			return err
		}
	}
	for it := range srv.items.KeptItems() {
		if err := out.print(fmt.Sprintf("item %s %s", it.Target(), kindAndSeq(&it)), describeItem(it.Target(), &it)); err != nil {
			return err
		}
	}
	return nil
}

// forget has what is announced or put again and again be so no more.
func (s *server) forget(keys []krpc.ID) error {
	for _, key := range keys {
		tracked := s.tracker.Tracks(key)
		if !tracked && !s.items.Keeps(key) {
			return fmt.Errorf("%s is neither announced nor put again and again", key)
		}
		if tracked {
			s.tracker.Untrack(key)
		} else {
			s.items.Unkeep(key)
		}
	}
	return nil
}

func describeTracked(ih krpc.ID, how tracker.AnnounceOptions) (text string, object any) {
	words := []string{"announce", ih.String()}
	if how.ImpliedPort {
		words = append(words, "implied-port")
	} else {
		words = append(words, fmt.Sprint("port ", how.Port))
	}
	if how.Seed {
		words = append(words, "seed")
	}
	return strings.Join(words, " "), struct {
		Hash        string `json:"hash"`
		Port        uint16 `json:"port,omitempty"`
		ImpliedPort bool   `json:"implied_port,omitempty"`
		Seed        bool   `json:"seed,omitempty"`
	}{ih.String(), how.Port, how.ImpliedPort, how.Seed}
}
