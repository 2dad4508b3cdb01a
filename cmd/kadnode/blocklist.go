package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/kadnode/kadnode/krpc"
)

// loadBlocklist replaces the ranges of b by those in files. After an error the old
// ones stay.
func loadBlocklist(b *krpc.Blocklist, files []string) error {
	var all []byte
	for _, name := range orNone(files) {
		list, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("blocklist: %w", err)
		}
		// Each on its own first: an error names a line, which is one of this file.
		if _, err := new(krpc.Blocklist).Load(bytes.NewReader(list)); err != nil {
			return fmt.Errorf("blocklist %s: %w", name, err)
		}
		all = append(append(all, list...), '\n')
	}
	_, err := b.Load(bytes.NewReader(all))
	return err
}
