package kademlia

import (
	"testing"

	"github.com/kadnode/kadnode/krpc"
)

func TestLookupsFailed(t *testing.T) {
	ran, nobody, cut := LookupResult{Queries: 5}, LookupResult{}, LookupResult{Queries: 5, Err: ErrStopped}
	closed := LookupResult{Err: krpc.ErrClosed}
	for _, c := range []struct {
		results []LookupResult
		want    error
	}{
		{nil, nil},
		{[]LookupResult{ran}, nil},
		{[]LookupResult{cut, ran}, nil},
		{[]LookupResult{nobody}, nil},
		{[]LookupResult{nobody, cut}, ErrStopped}, // a host without the one family
		{[]LookupResult{closed, cut, nobody}, krpc.ErrClosed},
	} {
		if got := LookupsFailed(c.results); got != c.want {
			t.Errorf("%+v: %v, want %v", c.results, got, c.want)
		}
	}
}
