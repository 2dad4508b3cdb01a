package krpc

import (
	"sync/atomic"
	"time"
)

const (
	// regularShare is of how many datagrams that are read under strain one may be answered to
	// regulars, and joinedShare, returnShare and strangerShare the same for those who keep asking, for
	// others who ask again and for those whom nobody has heard of. To drop a query takes a tenth of the time of an answer,
	// so that the receive buffer is empty soon, and nobody's queries are lost for want of room. What
	// makes no sense counts among the datagrams: who sends that alone keeps nobody from being answered.
	regularShare  = 8
	joinedShare   = 16
	returnShare   = 16
	strangerShare = 16
	// rationBurst is how many answers may be left over.
	rationBurst = 64
	// floodAge is for how long after the last strain strangers are noted: floods leave gaps.
	floodAge = 10 * time.Second
	// returnTick is for how long a stranger is remembered at least, and half of how long at most: a
	// flood of a million sources in turn comes back to one in a second only if it is that fast.
	returnTick = time.Second / 2
)

// strangers rations the answers under strain to sources that have not proved their address. Who
// forges sources by the million does not soon come back to one of them, while who has lost a query
// asks again, and most software asks more than once: so those who return within half a second have
// a ration of their own, and so have those who go on. It takes no lock.
type strangers struct {
	datagrams atomic.Uint64 // that came under strain
	last      atomic.Uint64 // the tick of the last of them, 0: none
	began     atomic.Int64  // when the flood that they are of did, since epoch
	regular   ration
	joined    ration
	returned  ration                    // of others who ask again
	first     ration                    // of those whom nobody has heard of
	noted     atomic.Pointer[returners] // from the first strain on
	epoch     epoch
}

// strain takes note of a datagram that comes under strain.
func (s *strangers) strain(now time.Time) {
	s.datagrams.Add(1)
	tick := s.tick(now)
	if s.last.Load() == tick {
		return
	}
	if !s.strainedWithin(floodAge, now) {
		s.began.Store(int64(s.epoch.elapsed(now)))
	}
	s.last.Store(tick)
	if s.noted.Load() == nil {
		s.noted.CompareAndSwap(nil, new(returners))
	}
}

// strainedWithin tells whether there was strain within the last d, to the tick.
func (s *strangers) strainedWithin(d time.Duration, now time.Time) bool {
	last := s.last.Load()
	return last > 0 && last+uint64(d/returnTick) >= s.tick(now)
}

// hears tells whether a stranger whom nobody has heard of would be answered under strain.
func (s *strangers) hears() bool { return s.first.left(s.datagrams.Load() / strangerShare) }

// allow tells whether a query of a stranger of this standing is answered under strain.
func (s *strangers) allow(who standing) bool {
	switch read := s.datagrams.Load(); who {
	case standingRegular:
		return s.regular.take(read / regularShare)
	case standingJoined:
		return s.joined.take(read / joinedShare)
	case standingSteady, standingReturned:
		return s.returned.take(read / returnShare)
	default:
		return s.first.take(read / strangerShare)
	}
}

// note takes note of a query of a stranger with this hash, and tells of which standing he is.
func (s *strangers) note(hash uint64, now time.Time) standing {
	if r := s.noted.Load(); r != nil {
		return r.note(hash, s.tick(now))
	}
	return standingFirst
}

// lasts returns for how long the flood has been going on that there is at now.
func (s *strangers) lasts(now time.Time) time.Duration {
	return s.epoch.elapsed(now) - time.Duration(s.began.Load())
}

func (s *strangers) tick(now time.Time) uint64 {
	return 1 + uint64(s.epoch.elapsed(now)/returnTick)
}

// ration counts what was given. Where two readers take at the same time there may be one more.
type ration struct{ spent atomic.Uint64 }

// left tells whether there is one left of those earned so far.
func (r *ration) left(earned uint64) bool { return r.spent.Load() < earned }

// take is left, and takes it.
func (r *ration) take(earned uint64) bool {
	spent := r.spent.Load()
	if spent >= earned {
		return false
	}
	if earned > rationBurst {
		spent = max(spent, earned-rationBurst)
	}
	r.spent.Store(spent + 1)
	return true
}

const (
	returnerWords   = 1 << 16 // 512 KiB for a tick
	returnerTagBits = 16      // of a word, above its marks
	returnerMarks   = 64 - returnerTagBits
)

// returners remembers who was noted in this tick and the one before: a Bloom filter for each, with
// two marks of a source in one word, side by side so that they are in one line of the cache. Words
// carry the tick that they are of, so that nobody has to clear them. Of a flood of 500 000 strangers
// a second 2 to 3 % are mistaken for one who returns.
type returners [returnerWords][2]atomic.Uint64

// note takes note of hash at tick. Who was noted in this tick or the one before has returned, and is
// steady if it was in both.
func (r *returners) note(hash, tick uint64) standing {
	words := &r[hash%returnerWords]
	marks := uint64(1)<<(hash>>16%returnerMarks) | uint64(1)<<(hash>>32%returnerMarks)
	before := marked(words[(tick-1)%2].Load(), tick-1)&marks == marks
	word := &words[tick%2]
	now := marked(word.Load(), tick)
	if now&marks != marks {
		word.Store(tick<<returnerMarks | now | marks) // of two at the same time one may be lost: it comes again
	}
	switch {
	case now&marks == marks && before:
		return standingSteady
	case now&marks == marks || before:
		return standingReturned
	}
	return standingFirst
}

// marked returns the marks of a word, if they are of that tick.
func marked(word, tick uint64) uint64 {
	if word>>returnerMarks != tick%(1<<returnerTagBits) {
		return 0
	}
	return word & (1<<returnerMarks - 1)
}
