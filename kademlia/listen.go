package kademlia

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/kadnode/kadnode/krpc/udp"
)

// listen opens the sockets, or takes over those that are there. Of the addresses that
// nobody asked for, one whose family the host lacks is left out.
func (d *DHT) listen() error {
	cfg := udp.Config{Readers: d.cfg.Readers, BeforeSend: d.cfg.Commit}
	inherited, err := udp.Inherit(d.cfg.Inherit, cfg)
	if err != nil {
		return fmt.Errorf("kademlia: listen: %w", err)
	}
	addrs, asked := d.cfg.Listen, true
	switch {
	case len(addrs) > 0:
	case len(inherited) > 0:
		d.sockets = inherited
		return nil
	default:
		asked = false
		addrs = []netip.AddrPort{
			netip.AddrPortFrom(netip.IPv4Unspecified(), DefaultPort),
			netip.AddrPortFrom(netip.IPv6Unspecified(), DefaultPort),
		}
	}
	if err := d.open(addrs, inherited, cfg); err != nil && (asked || len(d.sockets) == 0) {
		d.closeSockets()
		return err
	}
	return nil
}

// open makes the sockets of addrs, those that are inherited of these, and returns what
// has failed.
func (d *DHT) open(addrs []netip.AddrPort, inherited []*udp.Socket, cfg udp.Config) (failed error) {
	for _, a := range addrs {
		s, rest, ok := take(inherited, a)
		if inherited = rest; !ok {
			var err error
			if s, err = udp.Listen(a, cfg); err != nil {
				failed = errors.Join(failed, fmt.Errorf("kademlia: listen on %v: %w", a, err))
				continue
			}
		}
		d.sockets = append(d.sockets, s)
	}
	for _, s := range inherited {
		failed = errors.Join(failed, fmt.Errorf("kademlia: listen: the inherited socket %v is none of the addresses to listen on", s.LocalAddr()))
		s.Close()
	}
	return failed
}

// take returns the one of sockets that is bound to a, if there is one, and the others.
func take[S interface{ LocalAddr() netip.AddrPort }](sockets []S, a netip.AddrPort) (s S, rest []S, ok bool) {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	i := slices.IndexFunc(sockets, func(s S) bool { return s.LocalAddr() == a })
	if i < 0 {
		return s, sockets, false
	}
	return sockets[i], slices.Delete(slices.Clone(sockets), i, i+1), true
}

// Files returns duplicates of all kernel sockets, for the Config.Inherit of a successor;
// see udp.Socket.Files. They are the caller's to close.
func (d *DHT) Files() ([]*os.File, error) {
	var files []*os.File
	for _, s := range d.sockets {
		more, err := s.Files()
		files = append(files, more...)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("kademlia: %w", err)
		}
	}
	return files, nil
}

// HandOver makes way for a successor that was given Files and waits to serve. It
// answers what has been read and leaves the rest, and all that comes, to the successor.
// So it does with the state file: it is not written any more, not by Close either, and
// what it holds is recent enough for the successor, whenever that has read it. Nothing
// is read from its return on, so Close should follow soon. It waits for a write of the
// state file that is under way, a second at most: its error says that this was not
// enough.
func (d *DHT) HandOver() error {
	err := d.endSaving(false) // while we serve: the disk may be slow
	d.stopReading()
	return err
}

// stopReading ends the readers, once they have answered what they have read.
func (d *DHT) stopReading() {
	for _, s := range d.sockets {
		s.Stop()
	}
}

func (d *DHT) closeSockets() error {
	var err error
	for _, s := range d.sockets {
		err = errors.Join(err, s.Close())
	}
	return err
}
