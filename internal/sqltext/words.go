package sqltext

import "strings"

// Words returns the names in a text as the database folds them: unquoted words
// in lower case and quoted ones without their quotes. What is within a literal
// or a comment is none, and neither is the name of a function that is called.
func Words(text string, d Dialect) []string {
	var words []string
	eachName(text, d, func(_ token, name string) { words = append(words, name) })
	return words
}

// Rename returns the text with the name of a column replaced wherever it
// stands. New is written as SQL needs it, quotes included.
func Rename(text string, d Dialect, old, replacement string) string {
	var b strings.Builder
	at := 0
	eachName(text, d, func(t token, name string) {
		if name == old {
			b.WriteString(text[at:t.start] + replacement)
			at = t.end
		}
	})
	return b.String() + text[at:]
}

// eachName calls f for every name of a text, as far as it can be read.
func eachName(text string, d Dialect, f func(t token, name string)) {
	all, _ := tokens(text, d) // what cannot be read has no names
	for i, t := range all {
		word := text[t.start:t.end]
		if i+1 < len(all) && text[all[i+1].start:all[i+1].end] == "(" && t.kind == tokenWord && !isKeyword(word) {
			continue
		}
		switch t.kind {
		case tokenWord:
			f(t, strings.ToLower(word))
		case tokenQuoted:
			f(t, strings.ReplaceAll(word[1:len(word)-1], word[:1]+word[:1], word[:1]))
		}
	}
}

// isKeyword tells words that a parenthesis follows without being called.
func isKeyword(word string) bool {
	switch strings.ToUpper(word) {
	case "IN", "AND", "OR", "NOT", "CHECK", "KEY", "UNIQUE", "INCLUDE", "WHERE", "ON", "USING", "VALUES":
		return true
	}
	return false
}
