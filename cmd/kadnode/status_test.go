package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"testing"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// localServer starts a server on loopback addresses.
func localServer(t *testing.T, cfg kademlia.Config) *server {
	t.Helper()
	s, err := newServer(cfg, capacity{peersBytes: 1 << 20}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	s.start()
	return s
}

func TestStatus(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:0")
	holder := localServer(t, kademlia.Config{Listen: []netip.AddrPort{local, local}})
	client := localServer(t, kademlia.Config{Listen: []netip.AddrPort{local}, Bootstrap: holder.addrs()[:1]})
	if _, err := client.tracker.Announce(t.Context(), krpc.ID{1}, tracker.AnnounceOptions{Port: 4242, Seed: true}); err != nil {
		t.Fatal(err)
	}

	w := httptest.NewRecorder()
	h := newHTTPHandler([]*server{holder, client}, nil)
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status", nil))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	var page map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	nodes := page["nodes"].([]any)
	if len(nodes) != 3 || len(page) != 6 {
		t.Fatalf("%s", w.Body)
	}
	first := nodes[0].(map[string]any)
	if answered := first["queries_answered"].(float64); answered < 3 {
		t.Errorf("%v queries answered, want a ping, a get_peers and an announce_peer at least", answered)
	}
	delete(first, "queries_answered")
	delete(first, "contacts") // whoever asked may be one by now
	want := map[string]any{
		"listen":   holder.addrs()[0],
		"family":   "ipv4",
		"id":       holder.ids()[0],
		"external": "",
		"joined":   true,
		"network":  map[string]any{"nodes": 0., "lookups": 0.},
	}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("node: %v\nwant: %v", first, want)
	}
	store := page["tracker"].(map[string]any)
	if bytes := store["bytes"].(float64); bytes <= 0 {
		t.Errorf("%v bytes", bytes)
	}
	delete(store, "bytes")
	if want := map[string]any{"info_hashes": 1., "peers": 1., "seeds": 1.}; !reflect.DeepEqual(store, want) {
		t.Errorf("tracker: %v", store)
	}
	if contacts := nodes[2].(map[string]any)["contacts"]; !reflect.DeepEqual(contacts, map[string]any{"good": 1., "questionable": 0., "bad": 0.}) {
		t.Errorf("contacts: %v", contacts)
	}
}

func TestStatusIsReadOnly(t *testing.T) {
	h := newHTTPHandler(nil, nil)
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodPost: 405, http.MethodDelete: 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/status", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
}
