package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// output prints results: a line for people, or with --json one object a line. It
// does not buffer, so that each is there when it is known.
type output struct {
	w    io.Writer
	json bool
}

func (o output) print(text string, object any) error {
	if !o.json {
		_, err := fmt.Fprintln(o.w, text)
		return err
	}
	e := json.NewEncoder(o.w)
	e.SetEscapeHTML(false) // for the & of magnet links
	return e.Encode(object)
}

func addJSONFlag(cmd *cobra.Command, v *bool) {
	cmd.Flags().BoolVar(v, "json", false, "print one JSON object a line")
}
