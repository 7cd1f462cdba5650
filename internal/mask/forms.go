package mask

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// parts returns text and what in it is a secret by itself: its lines, and the
// password when it is a URL.
func parts(text string) []string {
	list := []string{text}
	if trimmed := strings.TrimSpace(text); trimmed != text {
		list = append(list, trimmed)
	}
	if strings.ContainsAny(text, "\r\n") {
		for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	if u, err := url.Parse(strings.TrimSpace(text)); err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			list = append(list, password)
		}
	}
	return list
}

// forms returns text as it is and as programs commonly write it.
func forms(text string) []string {
	if len(text) < minSecret {
		return nil
	}
	list := []string{text, hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text)))}
	for _, escaped := range []string{url.QueryEscape(text), url.PathEscape(text), url.User(text).String(), (&url.URL{Path: text}).EscapedPath(), percent(text)} {
		list = append(list, escaped, lowerEscapes(escaped))
	}
	quoted := strconv.Quote(text)
	list = append(list, quoted[1:len(quoted)-1])
	if encoded, err := json.Marshal(text); err == nil {
		list = append(list, string(encoded[1:len(encoded)-1]))
	}
	list = append(list, strings.ReplaceAll(text, "'", `'\''`), strings.ReplaceAll(text, "\n", "\r\n"))
	return append(list, base64Forms([]byte(text))...)
}

// base64Forms returns what of the base64 text of any data depends on nothing
// but text within it, for each of the three ways text can lie in that data.
// Up to four bits at either end are shared with a neighbour and left alone.
func base64Forms(text []byte) []string {
	var list []string
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		list = append(list, enc.EncodeToString(text), strings.TrimRight(enc.EncodeToString(text), "="))
		for before := range 3 {
			padded := enc.EncodeToString(append(make([]byte, before), text...))
			from, to := (8*before+5)/6, 8*(before+len(text))/6
			list = append(list, padded[from:to])
		}
	}
	return list
}

// percent escapes every byte that is not a letter or digit, as strict encoders do.
func percent(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte("0123456789ABCDEF"[c>>4])
		b.WriteByte("0123456789ABCDEF"[c&15])
	}
	return b.String()
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i:], strings.ToLower(s[i:i+3]))
			i += 2
		}
	}
	return string(b)
}
