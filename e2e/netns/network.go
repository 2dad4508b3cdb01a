// Package netns builds networks of Linux network namespaces: hosts with public
// addresses that a bridge joins, and that have no way out. BitTorrent clients
// drop loopback and private addresses, and most keep one node a /24, so that
// unmodified ones meet on a single machine only in a network like this.
// It needs root, iproute2 and util-linux.
package netns

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
)

// Network is a bridge in a namespace of its own and the hosts joined to it. All
// its methods are safe for concurrent use.
type Network struct {
	name string

	mu    sync.Mutex // guards what follows
	hosts []*Host
}

// New makes a network without hosts. Name must be unique among the networks of
// the process.
func New(name string) (*Network, error) {
	n := &Network{name: name}
	if err := ip("", "netns add "+n.bridge()); err != nil {
		return nil, err
	}
	if err := ip(n.bridge(), "link add br0 type bridge", "link set br0 up"); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Host is a namespace with one network card.
type Host struct {
	namespace string
	Addr4     netip.Addr // differs from those of the other hosts in its first byte
	Addr6     netip.Addr // differs from those of the other hosts in its first two bytes
}

// maxHosts keeps the addresses inside blocks that are unicast and public.
const maxHosts = 80

// NewHost adds a host. It reaches the other ones over IPv4 and IPv6, and its own
// loopback.
func (n *Network) NewHost() (*Host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := len(n.hosts)
	if i == maxHosts {
		return nil, fmt.Errorf("netns: new host: %d are enough", maxHosts)
	}
	h := &Host{
		namespace: fmt.Sprintf("%s-%d", n.name, i),
		Addr4:     netip.AddrFrom4([4]byte{byte(11 + i), 17, 3, 9}),
		Addr6:     netip.AddrFrom16([16]byte{0: 0x2a, 1: byte(i), 2: 0x11, 15: 9}),
	}
	if err := ip("", "netns add "+h.namespace); err != nil {
		return nil, err
	}
	n.hosts = append(n.hosts, h) // Close removes it from here on
	port := fmt.Sprintf("p%d", i)
	if err := ip(n.bridge(),
		"link add "+port+" type veth peer name eth0 netns "+h.namespace,
		"link set "+port+" master br0 up"); err != nil {
		return nil, err
	}
	// The default routes have no gateway: every address is a neighbour.
	return h, ip(h.namespace,
		"link set lo up",
		"link set eth0 up",
		"addr add "+h.Addr4.String()+"/32 dev eth0",
		"addr add "+h.Addr6.String()+"/128 dev eth0 nodad",
		"route add default dev eth0",
		"-6 route add default dev eth0")
}

// Command returns the command that runs a program on the host. The process that
// it starts is the program itself, not one around it.
func (h *Host) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.namespace, program}, args...)...)
}

// Close removes the hosts, whose processes must have ended, and the bridge.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := []string{"netns del " + n.bridge()}
	for _, h := range n.hosts {
		lines = append(lines, "netns del "+h.namespace)
	}
	n.hosts = nil
	return ip("", lines...)
}

func (n *Network) bridge() string { return n.name + "-bridge" }

// ip runs commands of ip(8) one by one, in a namespace unless its name is empty.
func ip(namespace string, commands ...string) error {
	for _, c := range commands {
		args := strings.Fields(c)
		if namespace != "" {
			args = append([]string{"-n", namespace}, args...)
		}
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("netns: ip %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
