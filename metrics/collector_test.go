package metrics

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/store"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/krpc/udp"
	"github.com/kadnode/kadnode/tracker"
)

// network is a small DHT in virtual time. Its nodes are one program.
type network struct {
	clock   *simnet.Clock
	net     *simnet.Network
	nodes   []*kademlia.Node
	tracker *tracker.Tracker
	items   *store.Items
	blocked krpc.Blocklist
}

func (n *network) Nodes() []*kademlia.Node { return n.nodes }

func (n *network) SocketStats() []udp.Stats {
	stats := make([]udp.Stats, len(n.nodes))
	for i := range stats {
		stats[i] = udp.Stats{PacketsIn: 10, BytesOut: 1000, Martians: 1}
	}
	return stats
}

func newNetwork(t *testing.T, v4, v6 int) *network {
	t.Helper()
	clock := simnet.NewClock(time.Unix(1_800_000_000, 0))
	n := &network{clock: clock, net: simnet.NewNetwork(clock, rand.New(rand.NewPCG(1, 0)), simnet.Link{})}
	for i := range v4 {
		n.join(t, simnet.Addr(i), simnet.Addr(0))
	}
	for i := range v6 {
		n.join(t, simnet.Addr6(i), simnet.Addr6(0))
	}
	n.tracker = tracker.New(n.nodes, tracker.Config{
		Swarms: tracker.SwarmsConfig{Rand: rand.New(rand.NewPCG(2, 0)), MaxBytes: 1 << 20},
	})
	n.items = store.New(n.nodes, store.Config{Rand: rand.New(rand.NewPCG(5, 0)), MaxBytes: 3 << 20})
	for _, node := range n.nodes {
		node.Start()
	}
	n.tracker.Start()
	clock.Run(10 * time.Second)
	return n
}

func (n *network) join(t *testing.T, at, bootstrap netip.AddrPort) {
	t.Helper()
	cfg := kademlia.NodeConfig{
		Clock:   n.clock,
		Rand:    rand.New(rand.NewPCG(3, uint64(len(n.nodes)))),
		Limiter: krpc.NewLimiter(100, 1000, 64, rand.New(rand.NewPCG(4, 0))),
	}
	var node *kademlia.Node
	cfg.Transport = n.net.Host(at, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		node.Deliver(now, from, b, out)
	})
	if at != bootstrap {
		cfg.Bootstrap = func(done func([]netip.AddrPort, error)) {
			n.clock.AfterFunc(0, func() { done([]netip.AddrPort{bootstrap}, nil) })
		}
	}
	node, err := kademlia.NewNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.nodes = append(n.nodes, node)
}

func (n *network) collector() prometheus.Collector {
	return NewCollector(Sources{
		DHTs:      []DHT{n},
		Trackers:  []*tracker.Tracker{n.tracker},
		Items:     []*store.Items{n.items},
		Blocklist: &n.blocked,
		Build:     BuildInfo{Version: "v1.2.3", GoVersion: "go1.26", Revision: "abc"},
	})
}

// gather returns the metrics as a strict registry sees them.
func gather(t *testing.T, c prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value returns the value of the metric with a name and label values, which are in
// the order of the label names.
func value(t *testing.T, families []*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var got []string
			for _, l := range m.GetLabel() {
				got = append(got, l.GetValue())
			}
			if slices.Equal(got, labels) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Fatalf("no metric %s with labels %q", name, labels)
	return 0
}

// sum returns the sum of a gauge over its labels.
func sum(families []*dto.MetricFamily, name string) (total float64) {
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				total += m.GetGauge().GetValue()
			}
		}
	}
	return total
}

func TestNamesAndHelpAreClean(t *testing.T) {
	problems, err := testutil.CollectAndLint(newNetwork(t, 3, 2).collector())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricsOfBothFamilies(t *testing.T) {
	n := newNetwork(t, 20, 10)
	if _, err := n.blocked.Load(strings.NewReader("192.0.2.0/24\n198.51.100.7\n")); err != nil {
		t.Fatal(err)
	}
	ih := krpc.ID{1, 2, 3}
	stored := 0
	_, err := n.tracker.AnnouncePeer(ih, tracker.AnnounceOptions{Port: 4242}, nil, func(r tracker.AnnounceResult) { stored = r.Stored })
	if err != nil {
		t.Fatal(err)
	}
	n.clock.Run(time.Minute)
	if stored == 0 {
		t.Fatal("the announce was stored nowhere")
	}

	m := gather(t, n.collector())
	for _, want := range []struct {
		value  float64
		name   string
		labels []string
	}{
		{1, "kadnode_build_info", []string{"go1.26", "abc", "v1.2.3"}},
		{20, "kadnode_nodes", []string{"ipv4"}},
		{10, "kadnode_nodes_joined", []string{"ipv6"}},
		{2, "kadnode_blocklist_ranges", nil},
		{30, "kadnode_lookup_hops", []string{"announce"}},
		{30, "kadnode_lookup_seconds", []string{"announce"}},
		{30, "kadnode_lookup_messages", []string{"announce"}},
		{0, "kadnode_lookups_active", nil},
		{float64(stored), "kadnode_krpc_queries_total", []string{"out", "announce_peer"}},
		{float64(stored), "kadnode_krpc_replies_total", []string{"in", "announce_peer", "reply"}},
		{0, "kadnode_krpc_replies_total", []string{"in", "announce_peer", "timeout"}},
		{30 * krpc.DefaultMaxPending, "kadnode_krpc_pending_queries_limit", nil},
		{30 * 64, "kadnode_limiter_cells", nil},
		{200, "kadnode_socket_packets_total", []string{"in", "ipv4"}},
		{10000, "kadnode_socket_bytes_total", []string{"out", "ipv6"}},
		{20, "kadnode_socket_drops_total", []string{"ipv4", "martian"}},
		{1, "kadnode_swarms", nil},
		{1 << 20, "kadnode_store_limit_bytes", []string{"peers"}},
		{1, "kadnode_announces_total", []string{"stored"}},
		{0, "kadnode_items", []string{"mutable"}},
		{0, "kadnode_item_puts_total", []string{"subnet_full"}},
		{0, "kadnode_store_bytes", []string{"items"}},
		{0, "kadnode_scrapes_total", []string{"refused"}},
		{4 * 32, "kadnode_scrape_filters_limit", nil},
	} {
		if got := value(t, m, want.name, want.labels...); got != want.value {
			t.Errorf("%s%q is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	if value(t, m, "kadnode_store_bytes", "peers") == 0 || value(t, m, "kadnode_krpc_rtt_seconds") == 0 {
		t.Error("no bytes in the store, or no round-trip times")
	}
	if size := value(t, m, "kadnode_network_nodes", "ipv4"); size < 10 || size > 40 {
		t.Errorf("a network of %.0f nodes, want some 19", size)
	}
	if lookups := value(t, m, "kadnode_network_lookups", "ipv4"); lookups < 20 {
		t.Errorf("that rests on %.0f lookups", lookups)
	}
}

// What the buckets hold, and may hold, adds up to what the tables do.
func TestBucketsAddUp(t *testing.T) {
	m := gather(t, newNetwork(t, 20, 0).collector())
	inBuckets, room := sum(m, "kadnode_bucket_nodes"), sum(m, "kadnode_bucket_limit_nodes")
	inTables := value(t, m, "kadnode_table_nodes", "ipv4", "good") +
		value(t, m, "kadnode_table_nodes", "ipv4", "questionable") +
		value(t, m, "kadnode_table_nodes", "ipv4", "bad")
	if inBuckets == 0 || inBuckets != inTables {
		t.Errorf("%v nodes in the buckets, %v in the tables", inBuckets, inTables)
	}
	if limit := value(t, m, "kadnode_table_limit_nodes", "ipv4"); room < inBuckets || room != limit {
		t.Errorf("room for %v nodes in the buckets, for %v in the tables", room, limit)
	}
}

func TestHistogramIsCumulative(t *testing.T) {
	s := krpc.HistogramSnapshot{Bounds: []float64{1, 2}, Counts: []uint64{3, 4, 5}, Sum: 30}
	sum := krpc.HistogramSnapshot{}
	addHistogram(&sum, krpc.HistogramSnapshot{Bounds: s.Bounds, Counts: []uint64{1, 1, 1}, Sum: 5})
	addHistogram(&sum, s)
	var d descs
	ch := make(chan prometheus.Metric, 1)
	emitter(ch).histogram(d.add("test", "A test."), sum)
	var out dto.Metric
	if err := (<-ch).Write(&out); err != nil {
		t.Fatal(err)
	}
	h := out.GetHistogram()
	if h.GetSampleCount() != 15 || h.GetSampleSum() != 35 {
		t.Errorf("count %d and sum %v, want 15 and 35", h.GetSampleCount(), h.GetSampleSum())
	}
	for i, want := range []uint64{4, 9} {
		if got := h.GetBucket()[i].GetCumulativeCount(); got != want {
			t.Errorf("bucket %d: %d, want %d", i, got, want)
		}
	}
}

// outbox swallows replies.
type outbox struct{ buf [krpc.MaxDatagram]byte }

func (o *outbox) Buffer() []byte            { return o.buf[:0] }
func (*outbox) Push(netip.AddrPort, []byte) {}

func TestMetricsOfItems(t *testing.T) {
	n := newNetwork(t, 2, 0)
	node, from := n.nodes[0], netip.MustParseAddrPort("90.1.2.3:6881")
	it, err := store.Immutable([]byte("le"))
	if err != nil {
		t.Fatal(err)
	}
	target := it.Target()
	for _, q := range []krpc.Message{
		{Method: krpc.MethodPut, V: it.V, Token: node.AppendToken(nil, from.Addr(), target)},
		{Method: krpc.MethodPut, V: it.V, Token: []byte("bad")},
		{Method: krpc.MethodGet, HasTarget: true, Target: target},
		{Method: krpc.MethodGet, HasTarget: true},
	} {
		q.Kind, q.TID, q.HasID = krpc.KindQuery, []byte("aa"), true
		node.Deliver(n.clock.Now(), from, q.Append(nil), new(outbox))
	}
	m := gather(t, n.collector())
	for _, want := range []struct{ name, label string }{
		{"kadnode_items", "immutable"},
		{"kadnode_item_puts_total", "stored"},
		{"kadnode_item_puts_total", "token"},
		{"kadnode_item_gets_total", "hit"},
		{"kadnode_item_gets_total", "miss"},
	} {
		if got := value(t, m, want.name, want.label); got != 1 {
			t.Errorf("%s %s is %v, want 1", want.name, want.label, got)
		}
	}
	if got := value(t, m, "kadnode_store_bytes", "items"); got < 100 || got > 1000 {
		t.Errorf("an item of 2 bytes takes %v", got)
	}
	if got := value(t, m, "kadnode_store_limit_bytes", "items"); got != 3<<20 {
		t.Errorf("of %v", got)
	}
}
