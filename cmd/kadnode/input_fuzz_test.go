package main

import (
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
)

func runFlags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("fuzz", pflag.ContinueOnError)
	new(runOptions).addFlags(fs)
	return fs
}

// FuzzFlags holds that what a flag prints it also takes, so that a command line can be replayed,
// whatever it was set to.
func FuzzFlags(f *testing.F) {
	for _, s := range []string{
		"", "none", "1", "-1", "1e9", "0x1p-2", "NaN", "Inf", "1GiB", "9223372036854775807", "true", "always", "10ms", "1h0m0.5s",
		":1", "[::1]:6881,192.0.2.1:0", "a:1, b:2", "none,", "debug", "json",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		fs, again := runFlags(), runFlags()
		fs.VisitAll(func(fl *pflag.Flag) {
			if fs.Set(fl.Name, first) != nil {
				return
			}
			_ = fs.Set(fl.Name, second) // lists take both
			if err := again.Set(fl.Name, fl.Value.String()); err != nil {
				t.Fatalf("--%s %q, %q is printed as %q: %v", fl.Name, first, second, fl.Value, err)
			}
			if got := again.Lookup(fl.Name).Value.String(); got != fl.Value.String() {
				t.Fatalf("--%s %q, %q is printed as %q, and then as %q", fl.Name, first, second, fl.Value, got)
			}
		})
	})
}

// FuzzConfigFile holds that no file harms who reads it, and that what it sets can be said on a
// command line too.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{
		"", "k = 8\nalpha = 3\nrate-limit = 2.5\nread-only = true\npeers-bytes = '1GiB'", "listen = [':1', '[::1]:2']", "bootstrap = []",
		"[http]\naddr = 'x'", "k = 1979-05-27", "listen = [[':1']]", "a.b.c = 1", "k = nan", "k = 0x10", "x = '''", "\"\\u0000\" = 1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "kadnode.toml")
		writeFile(t, name, string(b))
		fs := runFlags()
		if fillFromFile(fs, name) != nil {
			return
		}
		again := runFlags()
		for flag, value := range changed(fs) {
			if err := again.Set(flag, value); err != nil {
				t.Fatalf("%q sets %s to %q: %v", b, flag, value, err)
			}
		}
	})
}

// FuzzDecodeKey holds that a key that is read is written, and read again, as the same.
func FuzzDecodeKey(f *testing.F) {
	const digits = hash + "89abcdef0123456789abcdef"
	key, err := decodeKey([]byte(digits))
	if err != nil {
		f.Fatal(err)
	}
	b, err := encodeKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(digits + "\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := decodeKey(b)
		if err != nil {
			return
		}
		written, err := encodeKey(key)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if again, err := decodeKey(written); err != nil || !again.Equal(key) {
			t.Fatalf("%q is written as %q: %v", b, written, err)
		}
	})
}
