package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
)

// Inherit takes over sockets that are bound already: by systemd, or by a process
// whose successor this one is (see Socket.Files). It returns one Socket for each
// address, in the order of files; those with the same address are its readers, and
// if Config.Readers is greater, the missing ones are bound beside them. What has been
// waiting in the kernel is delivered once Serve is called.
//
// The sockets get the options that Listen sets. A datagram that came to an
// unspecified address before that is answered from where the kernel chooses.
// Files are duplicated and stay the caller's, who should close them. A file that is
// no such socket is an error, and so is an IPv6 socket that takes IPv4 as well. On
// systems other than Unix, files are errors.ErrUnsupported.
func Inherit(files []*os.File, cfg Config) ([]*Socket, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	var sockets []*Socket
	for _, f := range files {
		var err error
		if sockets, err = inherit(sockets, f, cfg); err != nil {
			closeAll(sockets)
			return nil, fmt.Errorf("udp: inherit %s: %w", f.Name(), err)
		}
	}
	for _, s := range sockets {
		for len(s.conns) < cfg.Readers {
			if err := s.bind(cfg); err != nil {
				closeAll(sockets)
				return nil, fmt.Errorf("udp: inherit: %d readers: %w", cfg.Readers, err)
			}
		}
	}
	return sockets, nil
}

// inherit adds the socket f to the one of sockets that has its address, or to
// sockets.
func inherit(sockets []*Socket, f *os.File, cfg Config) ([]*Socket, error) {
	conn, err := takeOver(f)
	if err != nil {
		return sockets, err
	}
	local := boundTo(conn)
	o := options{v6: local.Addr().Is6(), wildcard: local.Addr().IsUnspecified()}
	raw, err := conn.SyscallConn()
	if err == nil {
		err = o.prepare(raw)
	}
	if err != nil {
		conn.Close()
		return sockets, err
	}
	i := slices.IndexFunc(sockets, func(s *Socket) bool { return s.local == local })
	if i < 0 {
		i = len(sockets)
		sockets = append(sockets, newSocket(local))
	}
	return sockets, sockets[i].add(conn, o, cfg)
}

// takeOver makes a connection of a duplicate of f, if f is a socket to serve.
func takeOver(f *os.File) (*net.UDPConn, error) {
	if !canInherit {
		return nil, errors.ErrUnsupported
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("not a UDP socket: %w", err)
	}
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		err = errors.New("not a UDP socket")
	} else {
		err = checkServable(conn)
	}
	if err != nil {
		pc.Close()
		return nil, err
	}
	return conn, nil
}

func checkServable(conn *net.UDPConn) error {
	if conn.RemoteAddr() != nil {
		return errors.New("the socket is connected to one peer")
	}
	if boundTo(conn).Port() == 0 {
		return errors.New("the socket is not bound")
	}
	if conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is4() {
		return nil
	}
	only, err := v6Only(conn)
	if err == nil && !only {
		err = errors.New("the socket takes IPv4 as well as IPv6: set BindIPv6Only=ipv6-only in the systemd unit")
	}
	return err
}

// Files returns duplicates of the kernel sockets of s, for a successor to Inherit:
// all of them have to be handed over, or datagrams are lost. They share the queues of
// s, stay open when s is closed, and are the caller's to close. They may be passed to a
// child process by exec.Cmd.ExtraFiles. On systems other than Unix that is
// errors.ErrUnsupported.
func (s *Socket) Files() ([]*os.File, error) {
	var files []*os.File
	for _, conn := range s.conns {
		f, err := duplicate(conn, s.local)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("udp: files: %w", err)
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(sockets []*Socket) {
	for _, s := range sockets {
		s.Close()
	}
}
