package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQueueHasTheFirstFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 0))
	at := func() time.Time { return start.Add(time.Duration(rng.IntN(100)) * time.Second) }
	var q Queue[int]
	var in []*Due[int]
	for i := range 2000 {
		switch {
		case len(in) == 0 || rng.IntN(5) < 3:
			d := &Due[int]{At: at(), Of: i}
			q.Push(d)
			in = append(in, d)
		case rng.IntN(2) == 0:
			q.Move(in[rng.IntN(len(in))], at())
		default:
			gone := rng.IntN(len(in))
			q.Remove(in[gone])
			in = slices.Delete(in, gone, gone+1)
		}
		if len(q) != len(in) {
			t.Fatalf("%d in the queue, want %d", len(q), len(in))
		}
		for _, d := range in {
			if d.At.Before(q[0].At) {
				t.Fatalf("%v comes first, although %v is in the queue", q[0].At, d.At)
			}
		}
	}
}
