package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func draw(n int, f func(*rand.Rand) time.Duration) []time.Duration {
	r := rand.New(rand.NewPCG(*seed, 0))
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = f(r)
	}
	slices.Sort(list)
	return list
}

func mean(list []time.Duration) (m time.Duration) {
	for _, d := range list {
		m += d / time.Duration(len(list))
	}
	return m
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want*92/100 || got > want*108/100 {
		t.Errorf("%s %v, want about %v", what, got, want)
	}
}

func TestSessionLengths(t *testing.T) {
	const n = 100_000
	short := draw(n, Exponential(time.Hour))
	near(t, "exponential: mean", mean(short), time.Hour)
	near(t, "exponential: median", short[n/2], 2495*time.Second) // ln 2 hours

	measured := draw(n, Weibull(time.Hour, .5))
	near(t, "Weibull: mean", mean(measured), 2*time.Hour)
	near(t, "Weibull: median", measured[n/2], 1730*time.Second) // (ln 2)² hours
	near(t, "Weibull: 63 %", measured[n*632/1000], time.Hour)
	near(t, "Weibull of shape 1: mean", mean(draw(n, Weibull(time.Hour, 1))), time.Hour)
}

// What is left of a session that one walks into does not depend on its age if sessions are
// exponential; of the measured ones it is long, since these are mostly the long ones.
func TestRestOfASession(t *testing.T) {
	const n = 20_000
	near(t, "exponential: mean", mean(draw(n, Exponential(time.Hour).rest)), time.Hour)
	// E(x²) / 2E(x) is 6 hours.
	rest := mean(draw(n, Weibull(time.Hour, .5).rest))
	t.Logf("Weibull: mean rest %v", rest)
	if rest < 5*time.Hour || rest > 6*time.Hour {
		t.Errorf("Weibull: mean %v, want nearly 6 hours", rest)
	}
}
