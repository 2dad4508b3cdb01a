package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/udp"
)

const (
	// listenMark stands for the address to serve in a command.
	listenMark = "{listen}"
	// echoCommand is the hidden subcommand of the yardstick.
	echoCommand = "bench-echo"
)

// childCommand is a program to start.
type childCommand struct {
	name string
	args []string // the program first; listenMark stands for the address
}

// child is a process that serves on loopback until it is stopped.
type child struct {
	name   string
	cmd    *exec.Cmd
	listen netip.AddrPort
	ctx    context.Context // ends with the process
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

// sharedWriter is an output that several processes write to.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// startChild starts c on a free port. The environment of nodes is not for it.
func startChild(ctx context.Context, c childCommand, stderr io.Writer) (*child, error) {
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	args := make([]string, len(c.args))
	for i, a := range c.args {
		args[i] = strings.ReplaceAll(a, listenMark, listen.String())
	}
	p := &child{name: c.name, cmd: exec.Command(args[0], args[1:]...), listen: listen, ended: make(chan struct{})}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "KADNODE_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Stderr = stderr
	p.cmd.WaitDelay = time.Second // grandchildren may hold standard error open
	endWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(p.ended)
		p.cmd.Wait()
		p.cancel(fmt.Errorf("%s: has ended: %v", p.name, p.cmd.ProcessState))
	}()
	return p, nil
}

// stop ends the process and waits for it.
func (p *child) stop() {
	p.cmd.Process.Kill()
	<-p.ended
}

// explain returns err or, if the process is gone, that.
func (p *child) explain(err error) error {
	if cause := context.Cause(p.ctx); cause != nil {
		return cause
	}
	return err
}

// freePort returns a loopback address whose port is free at the moment.
func freePort() (netip.AddrPort, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// newBenchEchoCommand returns the yardstick of bench: it sends back what it gets.
func newBenchEchoCommand() *cobra.Command {
	return &cobra.Command{
		Use:    echoCommand + " IP:PORT",
		Short:  "Send back what comes, until a signal ends it",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return usagef("want IP:PORT, not %q", args[0])
			}
			s, err := udp.Listen(addr, udp.Config{})
			if err != nil {
				return err
			}
			s.Serve(func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
				out.Push(from, append(out.Buffer(), b...))
			})
			<-cmd.Context().Done()
			return s.Close()
		},
	}
}
