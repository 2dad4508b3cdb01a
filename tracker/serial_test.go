package tracker

import (
	"slices"
	"sync"
	"testing"
)

func TestCallsFromACallComeAfterIt(t *testing.T) {
	var s serial
	var got []int
	s.do(func() {
		s.do(func() {
			s.do(func() { got = append(got, 4) })
			got = append(got, 2)
		})
		s.do(func() { got = append(got, 3) })
		got = append(got, 1)
	})
	if !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("order %v", got)
	}
}

func TestCallsDoNotOverlap(t *testing.T) {
	var s serial
	var callers sync.WaitGroup
	calls := 0 // guarded by nothing but s
	for range 4 {
		callers.Go(func() {
			for range 1000 {
				s.do(func() { calls++ })
			}
		})
	}
	callers.Wait()
	if calls != 4000 {
		t.Errorf("%d calls, want 4000", calls)
	}
}
