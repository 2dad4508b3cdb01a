package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"

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

// run serves until ctx ends.
func (d *daemon) run(ctx context.Context) error {
	reload := make(chan os.Signal, 1)
	notifyReload(reload)
	defer signal.Stop(reload)
	lock, err := openDataDir(d.o.dataDir)
	if err != nil {
		return err
	}
	defer lock.Close() // after the state is saved; of no lock this does nothing
	srv, web, err := d.bind()
	if err != nil {
		return err
	}
	srv.start()
	d.log.Info("serving", "listen", srv.addrs(), "id", srv.ids(), "http", web.address(), "version", buildInfo().Version)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-reload:
			d.reload(srv)
		}
	}
	d.log.Info("shutting down")
	web.close()
	return srv.close()
}

// bind does all else that can fail.
func (d *daemon) bind() (*server, *httpServer, error) {
	if err := loadBlocklist(d.blocked, d.o.blocklist); err != nil {
		return nil, nil, err
	}
	cfg := d.o.dhtConfig()
	cfg.Blocklist = d.blocked
	srv, err := newServer(cfg, d.o.capacity, d.log)
	if err != nil {
		return nil, nil, err
	}
	web, err := d.bindHTTP(srv)
	if err != nil {
		srv.close()
		return nil, nil, err
	}
	return srv, web, nil
}

// bindHTTP starts the web server, if there is to be one. That the default address
// is taken is no error: several nodes on one host should just work.
func (d *daemon) bindHTTP(srv *server) (*httpServer, error) {
	if d.o.http == none {
		return nil, nil
	}
	web, err := startHTTP(d.o.http, newHTTPHandler([]*server{srv}, d.blocked), d.log)
	if err != nil && !d.flags.Changed("http") {
		d.log.Warn("going on without metrics and health pages; choose an address with --http", "err", err)
		return nil, nil
	}
	return web, err
}

// trySend sends v unless ch is full.
func trySend[T any](ch chan<- T, v T) {
	select {
	case ch <- v:
	default:
	}
}
