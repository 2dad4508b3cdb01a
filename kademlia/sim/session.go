package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Sessions draws how long a node stays, or stays away.
type Sessions func(r *rand.Rand) time.Duration

// Exponential has sessions of the given mean that end at any moment with the same probability,
// as most theory of DHTs takes them to be.
func Exponential(mean time.Duration) Sessions {
	return func(r *rand.Rand) time.Duration { return times(mean, r.ExpFloat64()) }
}

// Weibull has sessions as they were measured (Stutzbach and Rejaie, "Understanding Churn in
// Peer-to-Peer Networks", IMC 2006; Steiner et al., "Long Term Study of Peer Behavior in the
// KAD DHT", IEEE/ACM ToN 2009): with a shape below 1, and about 0.5 fits, most sessions are short,
// and the longer a node has stayed, the longer it will. Of 63 % of the sessions the length is
// below scale; with a shape of 0.5 their mean is twice scale and their median half of it. It
// panics unless shape is more than 0.
func Weibull(scale time.Duration, shape float64) Sessions {
	if !(shape > 0) {
		panic("sim: Weibull: want a shape above 0")
	}
	return func(r *rand.Rand) time.Duration {
		// To the microsecond, so that the last bit of a processor's Pow does not show.
		return times(scale, math.Pow(r.ExpFloat64(), 1/shape)).Round(time.Microsecond)
	}
}

// times returns d x times, at most a century.
func times(d time.Duration, x float64) time.Duration {
	const century = 100 * 365 * 24 * float64(time.Hour)
	return time.Duration(min(float64(d)*x, century))
}

// rest draws how long a session goes on that is met at any moment. Long ones are met more
// often: of many sessions one is picked with a probability that follows its length, and of
// that any moment. It is exact but for sessions that are rare among so many.
func (s Sessions) rest(r *rand.Rand) time.Duration {
	const many = 64
	var sum float64
	var met time.Duration
	for range many {
		d := s(r)
		if sum += float64(d); r.Float64()*sum < float64(d) {
			met = d
		}
	}
	return times(met, r.Float64())
}
