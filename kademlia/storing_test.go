package kademlia

import (
	"errors"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// A node that gave no token, or one that no honest node gives, is not bothered.
func TestStoreWithoutATokenAsksNobody(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(0), nil)
	s := l.stranger(simnet.Addr(1))
	var results []StoreResult
	for _, token := range [][]byte{nil, {}, make([]byte, maxToken+1)} {
		at := []Contact{{NodeInfo: krpc.NodeInfo{Addr: s.host.LocalAddr()}, Token: token}}
		n.Store(at, Store{Method: krpc.MethodPut, Fill: func(*krpc.Message, krpc.NodeInfo) { t.Error("asked") },
			Done: func(res StoreResult) { results = append(results, res) }})
	}
	n.Store(nil, Store{Done: func(res StoreResult) { results = append(results, res) }})
	l.clock.Run(time.Minute)
	if len(results) != 4 || results[3].Asked != 0 {
		t.Fatalf("%+v", results)
	}
	for _, res := range results[:3] {
		if res.Asked != 1 || res.Stored != 0 || len(res.Failures) != 1 || !errors.Is(res.Failures[0].Err, ErrNoToken) {
			t.Errorf("%+v", res)
		}
	}
}
