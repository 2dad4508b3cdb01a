package kademlia

import (
	"fmt"
	"github.com/kadnode/kadnode/krpc"
	"slices"
	"testing"
)

func TestClosestIsWhatSortingFinds(t *testing.T) {
	table, rng := newTestTable(8)
	var all []krpc.NodeInfo
	for i := range 12 {
		for _, n := range strangers(table, i, 20, rng) {
			if table.responded(n, 0, epoch) {
				all = append(all, n)
			}
		}
	}
	bad := all[0]
	table.failed(bad, epoch)
	all = slices.DeleteFunc(all, func(n krpc.NodeInfo) bool { return n == bad || !live(table, n.ID) })
	v := table.view()
	for trial := range 2000 {
		target := krpc.RandomID(rng)
		if trial%2 == 0 {
			target = idInBucket(table.self, rng.IntN(20), rng)
		}
		slices.SortFunc(all, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
		want := all[:8]
		got := v.infos(target, 8)
		if table.buckets[0].spares != nil {
			t.Fatal("the scenario wants no spares")
		}
		if !slices.Equal(got, want) {
			t.Fatalf("target %v: got %v, want %v", target, got, want)
		}
	}
}

func TestViewDoesNotSeeLaterChanges(t *testing.T) {
	table, rng := newTestTable(8)
	nodes := strangers(table, 5, 20, rng)
	for _, n := range nodes[:8] {
		table.responded(n, 0, epoch)
	}
	v := table.view()
	before := fmt.Sprint(v.infos(table.self, 8))
	for _, n := range nodes[8:] {
		table.responded(n, 0, epoch)
	}
	for _, n := range nodes[:8] {
		table.failed(n, epoch)
	}
	for _, c := range v.buckets[5].contacts {
		if !slices.Contains(nodes[:8], c.info()) {
			t.Error("the view shows a contact that came later")
		}
	}
	if before == fmt.Sprint(table.view().infos(table.self, 8)) {
		t.Error("the table has not changed")
	}
}

func BenchmarkClosest(b *testing.B) {
	table, rng := newTestTable(8)
	for i := range 14 {
		for _, n := range strangers(table, i, 150, rng) {
			table.responded(n, 0, epoch)
		}
	}
	v := table.view()
	targets := make([]krpc.ID, 1024)
	for i := range targets {
		targets[i] = krpc.RandomID(rng)
	}
	buf := make([]byte, 0, 26*8)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		buf = v.appendClosest(buf[:0], targets[i&1023], 8)
		i++
	}
}
