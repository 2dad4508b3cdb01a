package krpc

import (
	"math"
	"strings"
	"testing"
)

func TestScanString(t *testing.T) {
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		{"0:", "", true},
		{"3:abc", "abc", true},
		{"3:abcdef", "abc", true},
		{"12:abcdefghijkl", "abcdefghijkl", true},
		{"", "", false},
		{"3", "", false},
		{":abc", "", false},
		{"3abc", "", false},
		{"4:abc", "", false},
		{"03:abc", "", false},
		{"00:", "", false},
		{"-1:a", "", false},
		{"+1:a", "", false},
		{" 1:a", "", false},
		{"18446744073709551616:", "", false},
		{"99999999999999999999999999:a", "", false},
	} {
		s := scanner{b: []byte(c.in)}
		got := s.str()
		if string(got) != c.want || s.failed == c.ok {
			t.Errorf("%q: got %q, failed %v", c.in, got, s.failed)
		}
		if c.ok && cap(got) != len(got) {
			t.Errorf("%q: the string's capacity reaches past it", c.in)
		}
	}
}

func TestScanInteger(t *testing.T) {
	for _, c := range []struct {
		in     string
		want   int64
		ok     bool
		failed bool
	}{
		{"i0e", 0, true, false},
		{"i1e", 1, true, false},
		{"i-1e", -1, true, false},
		{"i6881e1:a", 6881, true, false},
		{"i9223372036854775807e", math.MaxInt64, true, false},
		{"i-9223372036854775808e", math.MinInt64, true, false},
		{"i9223372036854775808e", 0, false, false},
		{"i-9223372036854775809e", 0, false, false},
		{"i" + strings.Repeat("9", 500) + "e", 0, false, false},
		{"i18446744073709551617e", 0, false, false}, // 1 modulo 2^64
		{"i-0e", 0, false, true},
		{"i00e", 0, false, true},
		{"i01e", 0, false, true},
		{"i-01e", 0, false, true},
		{"ie", 0, false, true},
		{"i-e", 0, false, true},
		{"i--1e", 0, false, true},
		{"i+1e", 0, false, true},
		{"i1", 0, false, true},
		{"i-", 0, false, true},
		{"i", 0, false, true},
		{"i1.5e", 0, false, true},
	} {
		s := scanner{b: []byte(c.in)}
		if v, ok := s.integer(); v != c.want || ok != c.ok || s.failed != c.failed {
			t.Errorf("%q: got %d, %v, failed %v", c.in, v, ok, s.failed)
		}
	}
}

func TestScanRaw(t *testing.T) {
	deep := strings.Repeat("l", maxDepth) + strings.Repeat("e", maxDepth)
	for _, c := range []struct {
		value string
		ok    bool
	}{
		{"i1e", true},
		{"1:a", true},
		{"le", true},
		{"de", true},
		{"ld1:ai1e1:bl2:xxeee", true},
		{"d1:b0:1:a0:1:b0:e", true}, // neither sorted nor unique
		{deep, true},
		{"l" + deep + "e", false},
		{"d1:a" + deep + "e", false},
		{"di1e1:ae", false}, // a key that is no string
		{"d1:ae", false},    // a key without a value
		{"l1:a", false},
		{"d", false},
		{"x", false},
		{"e", false},
		{"\x00", false},
	} {
		s := scanner{b: []byte(c.value + "xyz")}
		got := s.raw()
		if s.failed == c.ok || c.ok && (string(got) != c.value || s.depth != 0) {
			t.Errorf("%q: got %q, failed %v, depth %d", c.value, got, s.failed, s.depth)
		}
	}
}
