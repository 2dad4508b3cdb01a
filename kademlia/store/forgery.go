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
	// signerBurst is what a source that has put something genuine has beside this, at the same
	// rate: anybody can sign something of his own. All cells of these together are 2.5 % of a core.
	signerBurst = 1
	// forgeryCells are 512 KiB, which only who meets a forger needs. forgeriesRate leaves 5000 of
	// them in debt, about, so that hardly a newcomer in 100 000 has to share one with a forger.
	forgeryCells = 65536
	// signerCells are 32 KiB, for those who have put something genuine, and as much for what they
	// have beside the others.
	signerCells = 4096
)

// forgeries is the budget for the verification of signatures that turn out to be bad. It begins
// with the first of them, and those who sign well are known from their first signature on. A source is
// an IPv4 address or an IPv6 /48. It takes no lock.
type forgeries struct {
	seed    [2]uint64
	signers atomic.Pointer[krpc.Proven]
	budget  atomic.Pointer[forgeryBudget]
}

type forgeryBudget struct{ each, all, signer *krpc.Limiter }

// everybody stands for all sources in the limit on these.
var everybody = netip.IPv6Unspecified()

// allows tells whether a signature of the source at from may be verified.
func (f *forgeries) allows(from netip.Addr, now time.Time) bool {
	b := f.budget.Load()
	if b == nil {
		return true
	}
	source := sourceOf(from)
	return f.signers.Load().Has(from, now) && !b.signer.Spent(source, now) ||
		!b.all.Spent(everybody, now) && !b.each.Spent(source, now)
}

// verified takes note of how a signature turned out to be.
func (f *forgeries) verified(from netip.Addr, good bool, now time.Time) {
	if good {
		f.knownSigners().Add(from, now)
		return
	}
	b, source := f.begun(), sourceOf(from)
	if f.signers.Load().Has(from, now) && b.signer.Allow(source, now) {
		return
	}
	b.each.Allow(source, now)
	b.all.Allow(everybody, now)
}

// sourceOf returns what stands for the source at a: a site has any number of addresses and 65 536 /64.
func sourceOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	site, _ := a.Prefix(48) // there is no error for IPv6
	return site.Addr()
}

// knownSigners returns those who have put something genuine, from the first one on.
func (f *forgeries) knownSigners() *krpc.Proven {
	if s := f.signers.Load(); s != nil {
		return s
	}
	r := rand.New(rand.NewPCG(f.seed[0], f.seed[1]))
	f.signers.CompareAndSwap(nil, krpc.NewProven(signerCells, r))
	return f.signers.Load()
}

// begun returns the budget, which begins if it has not yet.
func (f *forgeries) begun() *forgeryBudget {
	if b := f.budget.Load(); b != nil {
		return b
	}
	r := rand.New(rand.NewPCG(f.seed[1], f.seed[0]))
	f.budget.CompareAndSwap(nil, &forgeryBudget{
		each:   krpc.NewLimiter(forgeryRate, forgeryBurst, forgeryCells, r),
		all:    krpc.NewLimiter(forgeriesRate, forgeriesRate, 1, r),
		signer: krpc.NewLimiter(forgeryRate, signerBurst, signerCells, r),
	})
	return f.budget.Load()
}
