package serial

import (
	"slices"
	"sync"
	"testing"
)

func TestCallsFromACallComeAfterIt(t *testing.T) {
	var c Calls
	var got []int
	c.Do(func() {
		c.Do(func() {
			c.Do(func() { got = append(got, 4) })
			got = append(got, 2)
		})
		c.Do(func() { got = append(got, 3) })
		got = append(got, 1)
	})
	if !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("order %v", got)
	}
}

func TestCallsDoNotOverlap(t *testing.T) {
	var c Calls
	var callers sync.WaitGroup
	calls := 0 // guarded by nothing but c
	for range 4 {
		callers.Go(func() {
			for range 1000 {
				c.Do(func() { calls++ })
			}
		})
	}
	callers.Wait()
	if calls != 4000 {
		t.Errorf("%d calls, want 4000", calls)
	}
}
