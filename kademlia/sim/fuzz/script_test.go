package fuzz

// script is what a fuzzer has written, read as a list of choices. Those that it has not made
// are 0.
type script struct{ rest []byte }

func (s *script) next() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

// below returns a number from 0 up to n, which is 256 at most.
func (s *script) below(n int) int { return int(s.next()) % n }

func (s *script) bool() bool { return s.next()&1 != 0 }

// mask returns a set of 16 bits.
func (s *script) mask() mask { return mask(s.next())<<8 | mask(s.next()) }

// bytes returns up to n bytes, which are not the script's.
func (s *script) bytes(n int) []byte {
	b := append([]byte(nil), s.rest[:min(n, len(s.rest))]...)
	s.rest = s.rest[len(b):]
	return b
}

// mask is a set of choices that go together.
type mask uint16

func (m mask) has(bit int) bool { return m>>bit&1 != 0 }
