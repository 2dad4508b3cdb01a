package main

import (
	"slices"

	"github.com/spf13/pflag"
)

// reloaded are the flags that change without a restart.
var reloaded = []string{"log-level", "rate-limit", "blocklist"}

// reload reads the configuration and the blocklist again. If any of it is bad,
// everything stays as it was.
func (d *daemon) reload(srv *server) {
	o, flags, err := reread(d.given)
	if err == nil {
		err = loadBlocklist(d.blocked, o.blocklist)
	}
	if err != nil {
		d.log.Error("configuration not read again; everything stays as it was", "err", err)
		return
	}
	srv.dht.DropBlocked()
	d.level.Set(parseLevel(o.logLevel))
	if o.rateLimit != d.o.rateLimit {
		srv.dht.SetRateLimit(orUnlimited(o.rateLimit))
		d.o.rateLimit = o.rateLimit
	}
	d.log.Info("configuration read again", "log_level", o.logLevel, "rate_limit", o.rateLimit, "blocklist_ranges", d.blocked.Len())
	flags.VisitAll(func(f *pflag.Flag) {
		running := d.flags.Lookup(f.Name).Value.String()
		if !slices.Contains(reloaded, f.Name) && f.Value.String() != running {
			d.log.Warn("change takes effect after a restart", "key", f.Name, "running", running, "new", f.Value.String())
		}
	})
}
