package journal

import "testing"

// FuzzFileHeader holds that a file is known by its header though one of the two is damaged, and
// that nothing else is taken for one.
func FuzzFileHeader(f *testing.F) {
	f.Add(uint64(1), []byte{}, true)
	f.Add(uint64(1<<63), []byte("kadnode\n\x02"), false)
	f.Fuzz(func(t *testing.T, written uint64, damage []byte, second bool) {
		b := appendFileHeader(nil, kindLog, salt(written))
		half := b[:headerLen]
		if second {
			half = b[headerLen:]
		}
		for i := range min(len(half), len(damage)) {
			half[i] ^= damage[i]
		}
		if s, err := parseFileHeader(b, kindLog); err != ErrNewer && (err != nil || s != salt(written)) {
			t.Fatalf("%x is read as %x, %v", b, s, err)
		}
		if s, err := parseFileHeader(b, kindSnapshot); err == nil {
			t.Fatalf("%x is read as a snapshot, %x", b, s)
		}
		if s, err := parseFileHeader(b[:fileHeaderLen-1], kindLog); err == nil {
			t.Fatalf("half a header is read as %x", s)
		}
	})
}
