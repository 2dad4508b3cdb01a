package store

import (
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// To verify a signature costs as much as a dozen queries, and to make up a bad one nothing. A
// token keeps strangers from doing so in the name of others, so that what is left is to count.
const (
	// forgeryRate and forgeryBurst are the bad signatures a second of one source that are
	// verified. Software that signs wrongly learns of it, and goes on at the price of two pings.
	forgeryRate  = 0.1
	forgeryBurst = 5
	// forgeriesRate is the same for all sources together: 3 % of a core. Beyond it, only those
	// who have put something genuine lately are heard.
	forgeriesRate = 500
	// forgeryCells and signerCells are 32 KiB each, which only who meets a forger needs.
	forgeryCells = 4096
	signerCells  = 4096
)

// forgeries is the budget for the verification of signatures that turn out to be bad. It begins
// with the first of them. It takes no lock.
type forgeries struct {
	seed   [2]uint64
	budget atomic.Pointer[forgeryBudget]
}

type forgeryBudget struct {
	each, all *krpc.Limiter
	signers   *krpc.Proven
}

// everybody stands for all sources in the limit on these.
var everybody = netip.IPv6Unspecified()

// allows tells whether a signature of the source at from may be verified.
func (f *forgeries) allows(from netip.Addr, now time.Time) bool {
	b := f.budget.Load()
	if b == nil {
		return true
	}
	return !b.each.Spent(from, now) && (!b.all.Spent(everybody, now) || b.signers.Has(from, now))
}

// verified takes note of how a signature turned out to be.
func (f *forgeries) verified(from netip.Addr, good bool, now time.Time) {
	b := f.budget.Load()
	switch {
	case good && b == nil:
	case good:
		b.signers.Add(from, now)
	default:
		if b == nil {
			b = f.begin()
		}
		b.each.Allow(from, now)
		b.all.Allow(everybody, now)
	}
}

func (f *forgeries) begin() *forgeryBudget {
	r := rand.New(rand.NewPCG(f.seed[0], f.seed[1]))
	f.budget.CompareAndSwap(nil, &forgeryBudget{
		each:    krpc.NewLimiter(forgeryRate, forgeryBurst, forgeryCells, r),
		all:     krpc.NewLimiter(forgeriesRate, forgeriesRate, 1, r),
		signers: krpc.NewProven(signerCells, r),
	})
	return f.budget.Load()
}
