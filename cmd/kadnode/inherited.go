package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// The variables by which systemd passes sockets (sd_listen_fds(3)), and a node to its
// successor. It cannot name the successor's process, so handoverVariable stands for that.
const (
	listenPID        = "LISTEN_PID"
	listenFDs        = "LISTEN_FDS"
	listenNames      = "LISTEN_FDNAMES"
	handoverVariable = "KADNODE_HANDOVER"
)

// The values of handoverVariable: whether the lock of the data directory is passed, too.
const (
	handoverPlain    = "plain"
	handoverWithLock = "lock"
)

// firstInherited is the first file that systemd passes.
const firstInherited = 3

// inherited is what this process was started with by systemd, or by the node that it is to
// follow. The zero value is nothing.
type inherited struct {
	sockets     []*os.File   // UDP
	web         net.Listener // for metrics and health; nil: none
	predecessor *predecessor // nil: none
}

// takeInherited returns what this process has inherited. The environment says nothing of it
// any more afterwards: processes that this one starts get it only from us.
func takeInherited() (in inherited, err error) {
	pid, fds, handover := os.Getenv(listenPID), os.Getenv(listenFDs), os.Getenv(handoverVariable)
	for _, name := range []string{listenPID, listenFDs, listenNames, handoverVariable} {
		os.Unsetenv(name)
	}
	if fds == "" || handover == "" && pid != strconv.Itoa(os.Getpid()) {
		return in, nil
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > 1024 {
		return in, fmt.Errorf("%s=%q: want the number of inherited sockets", listenFDs, fds)
	}
	files := make([]*os.File, n)
	for i := range files {
		fd := firstInherited + i
		closeOnExec(fd)
		files[i] = os.NewFile(uintptr(fd), fmt.Sprintf("inherited socket %d", fd))
	}
	if handover != "" {
		if n < 2 {
			return in, fmt.Errorf("%s=%q: want two pipes and the sockets", listenFDs, fds)
		}
		in.predecessor = &predecessor{from: files[0], to: files[1]}
		files = files[2:]
		if handover == handoverWithLock && len(files) > 0 {
			in.predecessor.lock, files = files[0], files[1:]
		}
	}
	for _, f := range files {
		if err := in.take(f); err != nil {
			return in, err
		}
	}
	return in, nil
}

// take sorts in one more socket.
func (in *inherited) take(f *os.File) error {
	l, err := net.FileListener(f)
	switch {
	case err != nil: // DHT sockets do not listen; whether f is one is found out later
		in.sockets = append(in.sockets, f)
		return nil
	case in.web != nil:
		l.Close()
		return fmt.Errorf("%s: a second one that accepts connections; there is one, for metrics and health", f.Name())
	case !strings.HasPrefix(l.Addr().Network(), "tcp"):
		l.Close()
		return fmt.Errorf("%s: want TCP or UDP, not %s", f.Name(), l.Addr().Network())
	}
	in.web = l
	return f.Close() // l has a duplicate
}

// close closes the sockets, of which those in use have been duplicated.
func (in *inherited) close() {
	for _, f := range in.sockets {
		f.Close()
	}
	in.sockets = nil
}
