package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kadnode/kadnode/krpc"
)

func newRunCommand(use string) *cobra.Command {
	o := new(runOptions)
	cmd := &cobra.Command{
		Use:   use,
		Short: "Run a node until a signal ends it",
		Long: `Run a node until SIGINT or SIGTERM ends it, a second one at once.

On SIGHUP the environment, the configuration file and the blocklist are read again.
The log level, the rate limit and the blocklist take effect; what else has changed
is logged, and takes effect after a restart.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := changed(cmd.Flags())
			if err := o.fill(cmd.Flags()); err != nil {
				return err
			}
			return newDaemon(o, cmd.Flags(), given, cmd.ErrOrStderr()).run(cmd.Context())
		},
	}
	cmd.Flags().SortFlags = false
	o.addFlags(cmd.Flags())
	return cmd
}

// daemon is the program when it runs a node.
type daemon struct {
	o       *runOptions
	flags   *pflag.FlagSet    // what o was made from
	given   map[string]string // the flags of the command line
	log     *slog.Logger
	level   *slog.LevelVar
	blocked *krpc.Blocklist
}

func newDaemon(o *runOptions, flags *pflag.FlagSet, given map[string]string, stderr io.Writer) *daemon {
	d := &daemon{o: o, flags: flags, given: given, blocked: new(krpc.Blocklist)}
	d.log, d.level = newLogger(stderr, &o.nodeOptions)
	return d
}

// run serves until ctx ends, or a successor serves.
func (d *daemon) run(ctx context.Context) error {
	in, err := takeInherited()
	if err != nil {
		return err
	}
	reload, handover := make(chan os.Signal, 1), make(chan os.Signal, 1)
	notifyReload(reload)
	defer signal.Stop(reload)
	notifyHandover(handover)
	defer signal.Stop(handover)
	r, err := d.begin(ctx, &in)
	if err != nil {
		if ctx.Err() != nil {
			return nil // it was to end before it served
		}
		return err
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-reload:
			d.reload(r.srv)
		case <-handover:
			next, err := d.handOver(ctx, r)
			if next != nil {
				return errors.Join(err, r.close(), next.endWith(ctx))
			}
			if err != nil && ctx.Err() == nil {
				d.log.Error("no successor; serving on", "err", err)
			}
		}
	}
	d.log.Info("shutting down")
	notifySystemd("STOPPING=1")
	return r.close()
}

// runningNode is a daemon that serves.
type runningNode struct {
	srv *server
	web *httpServer
}

func (r *runningNode) close() error {
	r.web.close()
	return r.srv.close()
}

// begin does all that can fail, and then serves.
func (d *daemon) begin(ctx context.Context, in *inherited) (r *runningNode, err error) {
	lock, err := in.predecessor.lockDataDir(d.o.dataDir)
	if err != nil {
		return nil, err
	}
	srv, err := d.bind(in)
	if err != nil {
		lock.Close()
		return nil, err
	}
	srv.lock = lock
	web, err := d.bindHTTP(in)
	var took time.Duration
	if err == nil {
		took, err = d.load(ctx, srv, in.predecessor)
	}
	if err != nil {
		if web != nil {
			web.Close()
		}
		srv.close()
		return nil, err
	}
	srv.start()
	d.logRestored(srv, took)
	r = &runningNode{srv: srv}
	if web != nil {
		r.web = startHTTP(web, newHTTPHandler([]*server{srv}, d.blocked), d.log)
	}
	d.log.Info("serving", "listen", srv.addrs(), "id", srv.ids(), "http", r.web.address(), "version", buildInfo().Version)
	notifySystemd(fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid()))
	if in.predecessor != nil {
		in.predecessor.done()
	}
	return r, nil
}

// load reads what is kept over a restart, and returns how long that took. If there is a
// predecessor, it serves until then.
func (d *daemon) load(ctx context.Context, srv *server, p *predecessor) (took time.Duration, err error) {
	loaded, began := make(chan error, 1), time.Now()
	go func() { loaded <- srv.journal.Load() }() // which changes nothing, and may be left alone
	select {
	case err := <-loaded:
		if err != nil {
			return 0, err
		}
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	took = time.Since(began)
	if p != nil {
		if err := p.take(ctx); err != nil {
			return 0, err
		}
	}
	began = time.Now()
	err = srv.journal.Start()
	return took + time.Since(began), err
}

// logRestored says what was there before the start, if anything.
func (d *daemon) logRestored(srv *server, took time.Duration) {
	t, i := srv.tracker.Stats(), srv.items.Stats()
	swarms, peers, items := t.Swarms.Hashes, t.Swarms.Peers4+t.Swarms.Peers6, i.Immutable+i.Mutable
	if swarms+items+t.Tracked+i.Kept > 0 {
		d.log.Info("restored", "swarms", swarms, "peers", peers, "items", items,
			"tracked", t.Tracked, "kept", i.Kept, "took", took.Round(time.Microsecond))
	}
}

// bind makes the node, at the sockets that were inherited or at its own.
func (d *daemon) bind(in *inherited) (*server, error) {
	defer in.close()
	if err := loadBlocklist(d.blocked, d.o.blocklist); err != nil {
		return nil, err
	}
	cfg := d.o.dhtConfig()
	cfg.Blocklist = d.blocked
	if cfg.Inherit = in.sockets; len(in.sockets) > 0 && (in.predecessor != nil || !d.flags.Changed("listen")) {
		cfg.Listen = nil // these alone
	}
	j, err := newJournal(d.o.dataDir, d.o.sync, d.log)
	if err != nil {
		return nil, err
	}
	return newServer(cfg, d.o.capacity, j, d.log)
}

// bindHTTP opens the socket of the web server, if there is to be one. That the default address
// is taken is no error: several nodes on one host should just work.
func (d *daemon) bindHTTP(in *inherited) (net.Listener, error) {
	if d.o.http == none || in.web != nil {
		return in.web, nil
	}
	l, err := listenHTTP(d.o.http)
	if err != nil && !d.flags.Changed("http") {
		d.log.Warn("going on without metrics and health pages; choose an address with --http", "err", err)
		return nil, nil
	}
	return l, err
}

// trySend sends v unless ch is full.
func trySend[T any](ch chan<- T, v T) {
	select {
	case ch <- v:
	default:
	}
}
