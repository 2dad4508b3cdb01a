package journal

import "testing"

// FuzzFileName holds that a file is one of ours only by the very name that we give it: two names
// of one number would be two logs in one place.
func FuzzFileName(f *testing.F) {
	for _, name := range []string{"0000000001.log", "0000000001.snapshot", "1.log", "+000000001.log", "12345678901.log", "9223372036854775807.log", ".log", "0000000001.log.tmp"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if n, ok := number(name, logSuffix); ok && logName(n) != name {
			t.Fatalf("%q is read as log %d", name, n)
		}
		if n, ok := number(name, snapshotSuffix); ok && snapshotName(n) != name {
			t.Fatalf("%q is read as snapshot %d", name, n)
		}
	})
}
