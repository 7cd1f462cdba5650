package gate

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shiplock/shiplock/internal/mask"
)

// Line makes one readable line of at most limit bytes of a text from outside:
// what acts on a terminal, ends a line or is not seen at all is taken out.
func Line(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, mask.Terminal(text))
	return Shorten(strings.Join(strings.Fields(text), " "), limit)
}

// Shorten cuts s to at most limit bytes at a character, marking the cut.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
