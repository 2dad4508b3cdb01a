package krpc

import "math"

// maxDepth is how many dictionaries and lists may be open at a time. The scanner
// recurses once a level, so it bounds the stack.
const maxDepth = 64

// scanner reads bencode (BEP 3) in one forward pass. After the first syntax
// error it has failed and stands at the end of its input, so that every later
// read fails too and callers check once, at the end.
type scanner struct {
	b      []byte
	pos    int
	depth  int // of open dictionaries and lists
	failed bool
}

func (s *scanner) fail() {
	s.failed = true
	s.pos = len(s.b)
}

// peek returns the next byte, or 0 at the end of the input. 0 begins no value.
func (s *scanner) peek() byte {
	if s.pos < len(s.b) {
		return s.b[s.pos]
	}
	return 0
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// open enters a dictionary ('d') or a list ('l') if the next value is one.
func (s *scanner) open(kind byte) bool {
	if s.peek() != kind {
		return false
	}
	if s.depth == maxDepth {
		s.fail()
		return false
	}
	s.pos++
	s.depth++
	return true
}

// more reports whether something is left in the innermost dictionary or list,
// and leaves it otherwise.
func (s *scanner) more() bool {
	switch s.peek() {
	case 0:
		s.fail()
		return false
	case 'e':
		s.pos++
		s.depth--
		return false
	}
	return true
}

// str reads a string, which is also what a dictionary's key has to be.
func (s *scanner) str() []byte {
	b, start := s.b, s.pos
	i, n := start, uint64(0)
	for i < len(b) && isDigit(b[i]) && n <= uint64(len(b)) {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	digits := i - start
	if i == len(b) || b[i] != ':' || digits == 0 || digits > 1 && b[start] == '0' {
		s.fail()
		return nil
	}
	i++
	if n > uint64(len(b)-i) {
		s.fail()
		return nil
	}
	// The capacity ends with the string: an append must not write to the packet.
	end := i + int(n)
	s.pos = end
	return b[i:end:end]
}

// integer reads an integer, whose 'i' the caller has seen. It is ok unless it is
// outside the range of int64.
func (s *scanner) integer() (v int64, ok bool) {
	b, i := s.b, s.pos+1
	negative := i < len(b) && b[i] == '-'
	limit := uint64(math.MaxInt64)
	if negative {
		i++
		limit++
	}
	start, n := i, uint64(0)
	ok = true
	for ; i < len(b) && isDigit(b[i]); i++ {
		d := uint64(b[i] - '0')
		ok = ok && n <= (limit-d)/10
		n = n*10 + d
	}
	digits := i - start
	if i == len(b) || b[i] != 'e' || digits == 0 || b[start] == '0' && (digits > 1 || negative) {
		s.fail()
		return 0, false
	}
	s.pos = i + 1
	switch {
	case !ok:
		return 0, false
	case negative:
		return -int64(n), true // right for the smallest int64 too, which wraps
	}
	return int64(n), true
}

// skip passes over one value of any type.
func (s *scanner) skip() {
	switch {
	case isDigit(s.peek()):
		s.str()
	case s.peek() == 'i':
		s.integer()
	case s.open('l'):
		for s.more() {
			s.skip()
		}
	case s.open('d'):
		for s.more() {
			s.str()
			s.skip()
		}
	default:
		s.fail()
	}
}

// raw passes over one value and returns its bencoded form.
func (s *scanner) raw() []byte {
	start := s.pos
	s.skip()
	if s.failed {
		return nil
	}
	return s.b[start:s.pos:s.pos]
}

// strOrSkip reads a string, or passes over a value of any other type.
func (s *scanner) strOrSkip() (v []byte, ok bool) {
	if isDigit(s.peek()) {
		return s.str(), !s.failed
	}
	s.skip()
	return nil, false
}

// intOrSkip reads an integer of int64's range, or passes over any other value.
func (s *scanner) intOrSkip() (v int64, ok bool) {
	if s.peek() == 'i' {
		return s.integer()
	}
	s.skip()
	return 0, false
}
