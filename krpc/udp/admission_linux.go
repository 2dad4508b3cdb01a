package udp

import (
	"golang.org/x/sys/unix"

	"github.com/kadnode/kadnode/krpc"
)

// admission is a program of the kernel's (classic BPF) that is run on each datagram before it takes
// room in the receive buffer, and decides whether it does. It lets in
//   - what begins as replies and errors do: with their values, or with BEP 42's "ip";
//   - of all others one in so many, drawn at random;
//   - and those from sources that are preferred.
//
// Each word of the marks of these is an instruction that loads it: a program has no other memory.
type admission []unix.SockFilter

// Where a program finds what is not in the datagram, which begins at the header of UDP.
const (
	ipHeader    = 1<<32 - 1<<20      // SKF_NET_OFF
	randomWord  = 1<<32 - 1<<12 + 56 // SKF_AD_OFF + SKF_AD_RANDOM
	udpPayload  = 8
	ipv4Source  = ipHeader + 12
	ipv6Source  = ipHeader + 8
	admitWhole  = 1<<32 - 1
	bitOfSource = 0 // a cell of the program's scratch memory
)

// refuse has the kernel drop all queries but one in 2^level and those from sources that are
// preferred, if p is not nil; with 0 it drops none. A kernel that does not take the program drops
// whatever comes last.
func (r *batched) refuse(level int, p *krpc.Preferred) {
	_ = r.raw.Control(func(fd uintptr) {
		if level > 0 {
			a := newAdmission(r.outbox.queue.v6, level, p)
			program := unix.SockFprog{Len: uint16(len(a)), Filter: &a[0]}
			if unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program) == nil {
				return
			}
		}
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) // if there is one
	})
}

// newAdmission returns the program that lets in one in 2^level, and who is preferred.
func newAdmission(v6 bool, level int, p *krpc.Preferred) admission {
	a := make(admission, 0, 4*krpc.PreferredWords)
	a.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, udpPayload) // a shorter one is dropped
	a.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 2, 0, word("d1:r"))
	a.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 1, 0, word("d1:e"))
	a.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 1, word("d2:i"))
	a.add(unix.BPF_RET|unix.BPF_K, 0, 0, admitWhole)
	a.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, randomWord)
	a.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, 1, 0, 1<<level-1)
	a.add(unix.BPF_RET|unix.BPF_K, 0, 0, admitWhole)
	if p != nil {
		a.addHash(v6, p.Key)
		a.addLookup(p)
		a.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, 0, 1, 1)
		a.add(unix.BPF_RET|unix.BPF_K, 0, 0, admitWhole)
	}
	a.add(unix.BPF_RET|unix.BPF_K, 0, 0, 0)
	return a
}

func word(s string) uint32 {
	return uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
}

func (a *admission) add(code uint16, ifTrue, ifFalse uint8, k uint32) {
	*a = append(*a, unix.SockFilter{Code: code, Jt: ifTrue, Jf: ifFalse, K: k})
}

// addHash adds what krpc.PreferredKey.Mark does: it leaves the index of the word in the accumulator, and
// that of the bit in the scratch memory.
func (a *admission) addHash(v6 bool, key krpc.PreferredKey) {
	source := uint32(ipv4Source)
	if v6 {
		source = ipv6Source
		a.add(unix.BPF_LD|unix.BPF_H|unix.BPF_ABS, 0, 0, source+4)
		a.add(unix.BPF_ALU|unix.BPF_MUL|unix.BPF_K, 0, 0, key[1])
		a.add(unix.BPF_MISC|unix.BPF_TAX, 0, 0, 0)
	} else {
		a.add(unix.BPF_LDX|unix.BPF_IMM, 0, 0, 0)
	}
	a.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, source)
	a.add(unix.BPF_ALU|unix.BPF_MUL|unix.BPF_K, 0, 0, key[0])
	a.add(unix.BPF_ALU|unix.BPF_ADD|unix.BPF_X, 0, 0, 0)
	a.add(unix.BPF_MISC|unix.BPF_TAX, 0, 0, 0)
	a.add(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_K, 0, 0, 16)
	a.add(unix.BPF_ALU|unix.BPF_XOR|unix.BPF_X, 0, 0, 0)
	a.add(unix.BPF_ALU|unix.BPF_MUL|unix.BPF_K, 0, 0, key[2])
	a.add(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_K, 0, 0, 32-krpc.PreferredBits)
	a.add(unix.BPF_MISC|unix.BPF_TAX, 0, 0, 0)
	a.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 0, 0, 31)
	a.add(unix.BPF_ST, 0, 0, bitOfSource)
	a.add(unix.BPF_MISC|unix.BPF_TXA, 0, 0, 0)
	a.add(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_K, 0, 0, 5)
}

// addLookup adds a search for the word in the accumulator, and leaves the mark that is asked for as
// the lowest bit of it.
func (a *admission) addLookup(p *krpc.Preferred) {
	begin := len(*a)
	a.addSearch(p, 0, krpc.PreferredWords)
	for i := begin; i < len(*a); i++ {
		if jump := &(*a)[i]; jump.Code == unix.BPF_JMP|unix.BPF_JA && jump.K == 0 {
			jump.K = uint32(len(*a) - i - 1)
		}
	}
	a.add(unix.BPF_LDX|unix.BPF_MEM, 0, 0, bitOfSource)
	a.add(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_X, 0, 0, 0)
}

// addSearch adds a binary search among the words from first to before last. It ends with a jump
// that has no aim yet.
func (a *admission) addSearch(p *krpc.Preferred, first, last int) {
	if last-first == 1 {
		a.add(unix.BPF_LD|unix.BPF_IMM, 0, 0, p.Marks[first])
		a.add(unix.BPF_JMP|unix.BPF_JA, 0, 0, 0)
		return
	}
	middle, branch := (first+last)/2, len(*a)
	a.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, 0, 1, uint32(middle))
	a.add(unix.BPF_JMP|unix.BPF_JA, 0, 0, 0) // to the upper half: conditional jumps do not go as far
	a.addSearch(p, first, middle)
	(*a)[branch+1].K = uint32(len(*a) - branch - 2)
	a.addSearch(p, middle, last)
}
