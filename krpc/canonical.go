package krpc

import "bytes"

// Canonical reports whether b is one bencoded value and nothing behind it, with the
// keys of every dictionary in order and none twice: what may be stored (BEP 44). It may
// nest as deep as there is room for it within the two dictionaries of a message. It
// allocates nothing.
func Canonical(b []byte) bool {
	s := scanner{b: b, depth: 2}
	return s.canonical() && !s.failed && s.pos == len(b)
}

// canonical passes over one value and reports whether its dictionaries are in order.
func (s *scanner) canonical() bool {
	switch {
	case s.open('l'):
		for s.more() {
			if !s.canonical() {
				return false
			}
		}
	case s.open('d'):
		var last []byte
		for first := true; s.more(); first = false {
			key := s.str()
			if !first && bytes.Compare(last, key) >= 0 || !s.canonical() {
				return false
			}
			last = key
		}
	default:
		s.skip()
	}
	return true
}
