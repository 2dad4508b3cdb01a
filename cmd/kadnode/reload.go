package main

import "github.com/spf13/pflag"

// reload reads the configuration and the blocklist again. If any of it is bad,
// everything stays as it was.
func (d *daemon) reload() {
	o, flags, err := reread(d.given)
	if err == nil {
		err = loadBlocklist(d.blocked, o.blocklist)
	}
	if err != nil {
		d.log.Error("configuration not read again; everything stays as it was", "err", err)
		return
	}
	d.level.Set(parseLevel(o.logLevel))
	d.log.Info("configuration read again", "log_level", o.logLevel, "blocklist_ranges", d.blocked.Len())
	flags.VisitAll(func(f *pflag.Flag) {
		running := d.flags.Lookup(f.Name).Value.String()
		if f.Name != "log-level" && f.Name != "blocklist" && f.Value.String() != running {
			d.log.Warn("change takes effect after a restart", "key", f.Name, "running", running, "new", f.Value.String())
		}
	})
}
