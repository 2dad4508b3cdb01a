package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

func newKeygenCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make the key of mutable items",
		Long: `Make a new ed25519 key, with which "kadnode put" signs mutable items (BEP 44), and
write it to FILE, in the PEM form of "openssl genpkey", for nobody but its owner to
read. A FILE that exists is left as it is.

The public key is printed, and the magnet link of BEP 46 with which others follow the
torrents that are published with the key.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return keygen(args[0], output{cmd.OutOrStdout(), asJSON})
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func keygen(name string, out output) error {
	public, private, err := ed25519.GenerateKey(nil) // of crypto/rand
	if err != nil {
		return err
	}
	err = writeKey(name, private)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists, and no key is overwritten", name)
	}
	if err != nil {
		return err
	}
	key, magnet := hex.EncodeToString(public), updateMagnet(public, nil)
	return out.print(key+"\n"+magnet, struct {
		File   string `json:"file"`
		Key    string `json:"public_key"`
		Magnet string `json:"magnet"`
	}{name, key, magnet})
}

// writeKey writes a key to a new file with a name. A file that cannot be written to its
// end is removed.
func writeKey(name string, key ed25519.PrivateKey) error {
	b, err := encodeKey(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name)
	}
	return err
}
