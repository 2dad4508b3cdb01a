package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/anacrolix/torrent/bencode"
)

// showValue returns the value v of an item, in its bencoded form, for people: of a
// string the text, quoted if a terminal would obey some of it, and of anything else
// JSON.
func showValue(v []byte) string {
	var x any
	if err := bencode.Unmarshal(v, &x); err != nil {
		return strconv.Quote(string(v)) // beyond some limit of the decoder
	}
	if s, ok := x.(string); ok {
		return showString(s)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(forJSON(x)); err != nil {
		return strconv.Quote(string(v))
	}
	return escapeJSON(strings.TrimSpace(b.String()))
}

// showLine is showValue for one line of several.
func showLine(v []byte) string {
	s := showValue(v)
	if strings.Contains(s, "\n") {
		return strconv.Quote(s)
	}
	return s
}

func showString(s string) string {
	harmless := func(r rune) bool { return strconv.IsPrint(r) || r == '\n' || r == '\t' }
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !harmless(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// forJSON returns what stands for a decoded value in JSON: {"hex":"…"} for a string that
// is no text, and hex:… if it is a key.
func forJSON(x any) any {
	switch x := x.(type) {
	case string:
		if !utf8.ValidString(x) {
			return map[string]string{"hex": hex.EncodeToString([]byte(x))}
		}
	case []any:
		for i := range x {
			x[i] = forJSON(x[i])
		}
	case map[string]any:
		out := make(map[string]any, len(x))
		for key, v := range x {
			if !utf8.ValidString(key) {
				key = "hex:" + hex.EncodeToString([]byte(key))
			}
			out[key] = forJSON(v)
		}
		return out
	}
	return x
}

// escapeJSON escapes what a terminal might obey, and encoding/json leaves as it is.
func escapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
