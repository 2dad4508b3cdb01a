package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/kadnode/kadnode/e2e/e2etest"
	"github.com/kadnode/kadnode/e2e/netns"
)

// itemClient puts and gets items.
type itemClient interface {
	fmt.Stringer
	put(t *testing.T, it item) error
	get(t *testing.T, o *owner, target string) (item, error)
}

// kadnodeItems is kadnode as a client on a host, which joins through a node.
type kadnodeItems struct {
	lab       *e2etest.Lab
	host      *netns.Host
	bootstrap netip.AddrPort
	stores    int // how many nodes there are that store; 0: not known
}

// errMissed says that a node that stores was not asked to: those of bittorrent-dht do not always
// name each other.
var errMissed = errors.New("a node was missed")

func (c *kadnodeItems) String() string { return "kadnode" }

// run runs a subcommand and returns what it prints.
func (c *kadnodeItems) run(args ...string) (string, error) {
	listen := netip.AddrPortFrom(c.host.Addr4, 0)
	return c.lab.Kadnode(c.host, append(args, "--listen", listen.String(), "--bootstrap", c.bootstrap.String())...)
}

// put is an error too if not every node that was asked has stored the item, and errMissed if not
// every node was.
func (c *kadnodeItems) put(t *testing.T, it item) error {
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, it.value, 0o644); err != nil {
		return err
	}
	args := []string{"put", "--bencoded", "--file", file, "--json"}
	if it.owner != nil {
		args = append(args, "--key", it.owner.keyFile, "--salt-hex", it.owner.saltHex(), "--seq", strconv.FormatInt(it.seq, 10))
	}
	if it.cas != "" {
		args = append(args, "--cas", it.cas)
	}
	out, err := c.run(args...)
	if err != nil {
		return err
	}
	var stored struct{ Stored, Asked int }
	if err := json.Unmarshal([]byte(out), &stored); err != nil || stored.Stored < stored.Asked {
		return fmt.Errorf("not stored by all: %v: %s", err, out)
	}
	if stored.Asked < c.stores {
		return fmt.Errorf("%w: %s", errMissed, out)
	}
	return nil
}

func (c *kadnodeItems) get(_ *testing.T, o *owner, target string) (item, error) {
	args := []string{"get", target, "--json"}
	if o != nil {
		args = append(args, "--salt-hex", o.saltHex())
	}
	out, err := c.run(args...)
	if err != nil {
		return item{}, err
	}
	return readItem(o, out)
}

// npmItems is bittorrent-dht as a client on a host, which joins through a node.
type npmItems struct {
	host      *netns.Host
	bootstrap netip.AddrPort
}

func (c *npmItems) String() string { return "bittorrent-dht" }

func (c *npmItems) put(t *testing.T, it item) error {
	args := []string{hex.EncodeToString(it.value)}
	if it.owner != nil {
		args = append(args, it.owner.keyFile, it.owner.saltHex(), strconv.FormatInt(it.seq, 10), it.cas)
	}
	_, err := npm(t, c.host, "put", c.bootstrap, args...)
	return err
}

func (c *npmItems) get(t *testing.T, o *owner, target string) (item, error) {
	args := []string{target}
	if o != nil {
		args = append(args, o.saltHex())
	}
	out, err := npm(t, c.host, "get", c.bootstrap, args...)
	if err != nil {
		return item{}, err
	}
	return readItem(o, out)
}

// readItem reads what a client prints of an item.
func readItem(o *owner, out string) (item, error) {
	var found struct {
		Value string `json:"value_hex"`
		Seq   int64
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return item{}, fmt.Errorf("%w: %q", err, out)
	}
	value, err := hex.DecodeString(found.Value)
	return item{owner: o, value: value, seq: found.Seq}, err
}

// mustPut fails t unless the client puts the item. It returns errMissed if a node was missed: what
// the others store is found.
func mustPut(t *testing.T, it item, c itemClient) error {
	t.Helper()
	err := c.put(t, it)
	if err != nil && !errors.Is(err, errMissed) {
		t.Fatalf("%v puts seq %d: %v", c, it.seq, err)
	}
	return err
}

// mustFind fails t unless each of the clients finds the item as it is.
func mustFind(t *testing.T, want item, clients ...itemClient) {
	t.Helper()
	for _, c := range clients {
		got, err := c.get(t, want.owner, want.target())
		if err != nil {
			t.Fatalf("%v looks for seq %d: %v", c, want.seq, err)
		}
		if string(got.value) != string(want.value) || got.seq != want.seq {
			t.Fatalf("%v finds %q with seq %d, want %q with seq %d", c, got.value, got.seq, want.value, want.seq)
		}
	}
}

// startNpm starts a node of bittorrent-dht that stores items, and returns its address.
func startNpm(t *testing.T, lab *e2etest.Lab, bootstrap string) netip.AddrPort {
	t.Helper()
	requireNpm(t)
	h := lab.NewHost(t)
	addr := netip.AddrPortFrom(h.Addr4, e2etest.Port)
	p := e2etest.Start(t, "bittorrent-dht on "+h.Addr4.String(),
		h.Command(context.Background(), "node", "node/dht.mjs", "serve", bootstrap, strconv.Itoa(e2etest.Port)))
	e2etest.Eventually(t, npmDeadline, "bittorrent-dht answers", func() error {
		p.MustRun(t)
		_, err := lab.Kadnode(h, "ping", addr.String(), "--timeout", "1s")
		return err
	})
	return addr
}
