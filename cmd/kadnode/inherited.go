package main

import (
	"errors"
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
	if handover != "" && n < 2 {
		return in, fmt.Errorf("%s=%q: want two pipes and the sockets", listenFDs, fds)
	}
	files, err := inheritedFiles(n, handover)
	if err != nil {
		return in, fmt.Errorf("%s=%q: %w", listenFDs, fds, err)
	}
	if handover != "" {
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

// fileKind is what an inherited file has to be.
type fileKind int

const (
	socketFile fileKind = iota
	pipeFile
	plainFile
)

// errNoSocket refuses what neither the DHT nor metrics and health can be served on.
var errNoSocket = errors.New("not a UDP socket, nor a TCP one")

// inheritedFiles returns the first n files that were passed. None is touched unless all are what
// they have to be: under a number that nothing was passed as, the Go runtime may have opened a
// file of its own, and dies if that is closed.
func inheritedFiles(n int, handover string) ([]*os.File, error) {
	for i := range n {
		kind := socketFile
		switch {
		case handover != "" && i < 2:
			kind = pipeFile
		case handover == handoverWithLock && i == 2:
			kind = plainFile
		}
		if err := checkInherited(firstInherited+i, kind); err != nil {
			return nil, fmt.Errorf("file %d: %w", firstInherited+i, err)
		}
	}
	files := make([]*os.File, n)
	for i := range files {
		fd := firstInherited + i
		closeOnExec(fd)
		files[i] = os.NewFile(uintptr(fd), fmt.Sprintf("inherited socket %d", fd))
	}
	return files, nil
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
