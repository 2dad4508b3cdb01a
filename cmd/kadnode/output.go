package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"

	"github.com/spf13/cobra"
)

// output prints results: a line for people, or with --json one object a line. It
// does not buffer, so that each is there when it is known.
type output struct {
	w    io.Writer
	json bool
}

func (o output) print(text string, object any) error {
	if o.json {
		b, err := encodeJSON(object)
		if err != nil {
			return err
		}
		text = string(b)
	}
	_, err := fmt.Fprintln(o.w, text)
	return err
}

func addJSONFlag(cmd *cobra.Command, v *bool) {
	cmd.Flags().BoolVar(v, "json", false, "print one JSON object a line")
}

// encodeJSON returns x in JSON, on one line. What a terminal might obey is escaped, since
// strangers have chosen some of it; the & of magnet links is not.
func encodeJSON(x any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(x); err != nil {
		return nil, err
	}
	var out []byte
	for _, r := range string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))) {
		if strconv.IsPrint(r) {
			out = append(out, string(r)...)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out, nil
}
