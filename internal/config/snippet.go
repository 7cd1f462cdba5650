package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxLine is how many characters of a line a snippet shows.
const maxLine = 120

// snippet shows the line before the spot, its line, and a caret under it.
// Passwords that stand in them are not shown.
func snippet(lines []string, at spot) string {
	if at.line > len(lines) {
		return ""
	}
	var b strings.Builder
	if at.line > 1 && strings.TrimSpace(lines[at.line-2]) != "" {
		before, _ := show(lines[at.line-2], 1)
		fmt.Fprintf(&b, "%5d │ %s\n", at.line-1, before)
	}
	line, column := show(lines[at.line-1], at.column)
	width := max(1, min(at.width, len([]rune(line))-column+1))
	fmt.Fprintf(&b, "%5d │ %s\n", at.line, line)
	fmt.Fprintf(&b, "      │ %s%s", strings.Repeat(" ", column-1), strings.Repeat("^", width))
	return b.String()
}

// show returns the part of a line around a column as a reader may see it, and
// where the column is in that part.
func show(line string, column int) (string, int) {
	var shown []rune
	at, n, hidden := 1, 0, literals(line)
	for i, r := range line {
		n++
		for len(hidden) > 0 && i >= hidden[0][1] {
			hidden = hidden[1:]
		}
		if n == column {
			at = len(shown) + 1
		}
		switch {
		case len(hidden) == 0 || i < hidden[0][0]:
			shown = append(shown, []rune(printable(string(r)))...)
		case i == hidden[0][0]:
			shown = append(shown, '*', '*', '*')
		}
	}
	if column > n {
		at = len(shown) + 1
	}
	from := 0
	if len(shown) > maxLine {
		from = max(0, min(at-maxLine/2, len(shown)-maxLine))
	}
	return string(shown[from:min(len(shown), from+maxLine)]), at - from
}

// printable replaces what would act on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// What in a literal gives a secret away: the password of a URL, and what is
// given to a name that speaks of a secret.
var (
	urlPassword = regexp.MustCompile(`(://[^/\s:@"']*:)([^\s"'{}]+)@`)
	namedSecret = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api_?key|private_?key)[a-z0-9_]*["']?\s*[:=]\s*["']?)([^\s"',}&${\[|>][^\s"',}&]*)`)
)

// literals returns where in text a secret stands literally, in order, as
// offsets that do not overlap.
func literals(text string) [][2]int {
	var spans [][2]int
	for _, pattern := range []*regexp.Regexp{urlPassword, namedSecret} {
		for _, m := range pattern.FindAllStringSubmatchIndex(text, -1) {
			if !strings.HasSuffix(text[:m[0]], "${") { // ${secret:NAME} tells nothing
				spans = append(spans, [2]int{m[4], m[5]})
			}
		}
	}
	slices.SortFunc(spans, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	var apart [][2]int
	for _, s := range spans {
		if last := len(apart) - 1; last >= 0 && s[0] < apart[last][1] {
			apart[last][1] = max(apart[last][1], s[1])
			continue
		}
		apart = append(apart, s)
	}
	return apart
}

// Redact hides the passwords that stand literally in text.
func Redact(text string) string {
	var b strings.Builder
	from := 0
	for _, s := range literals(text) {
		b.WriteString(text[from:s[0]])
		b.WriteString("***")
		from = s[1]
	}
	return b.String() + text[from:]
}
