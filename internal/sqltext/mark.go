package sqltext

import "strings"

// A Mark is a place in a statement that somebody fills in: ":name", or
// ":name(of)". It is the bytes from Start to End.
type Mark struct {
	Start, End int
	Of         string // the word in parentheses, or ""
}

// Marks returns the marks of a name. What looks like one within a literal or a
// comment is none, and neither is a cast, "::name".
func Marks(text string, d Dialect, name string) ([]Mark, error) {
	all, err := tokens(text, d)
	if err != nil {
		return nil, err
	}
	var marks []Mark
	for i := 0; i+1 < len(all); i++ {
		colon, word := all[i], all[i+1]
		if text[colon.start:colon.end] != ":" || word.start != colon.end || text[word.start:word.end] != name {
			continue
		}
		if i > 0 && all[i-1].end == colon.start && text[all[i-1].start:all[i-1].end] == ":" {
			continue
		}
		m := Mark{Start: colon.start, End: word.end}
		if i+4 < len(all) && text[word.end:all[i+2].end] == "(" && text[all[i+4].start:all[i+4].end] == ")" {
			m.Of, m.End = text[all[i+3].start:all[i+3].end], all[i+4].end
		}
		marks = append(marks, m)
	}
	return marks, nil
}

// UpdateParts cuts an UPDATE of one table into what is updated, with its alias,
// and the condition. ok is false for every other statement, for one that reads
// other tables beside it, and for one without a condition.
func UpdateParts(text string, d Dialect) (target, where string, ok bool) {
	all, err := tokens(text, d)
	if err != nil || len(all) == 0 || !strings.EqualFold(text[all[0].start:all[0].end], "UPDATE") {
		return "", "", false
	}
	depth, set, cond := 0, -1, -1
	for _, t := range all[1:] {
		switch word := strings.ToUpper(text[t.start:t.end]); {
		case word == "(":
			depth++
		case word == ")":
			depth--
		case depth > 0 || t.kind != tokenWord:
		case word == "SET" && set < 0:
			set = t.start
		case (word == "FROM" || word == "RETURNING" || word == "ORDER" || word == "LIMIT") && (cond < 0 || word != "FROM"):
			return "", "", false
		case word == "WHERE" && cond < 0:
			cond = t.end
		}
	}
	if set < 0 || cond < set {
		return "", "", false
	}
	return strings.TrimSpace(text[all[0].end:set]), strings.TrimSpace(text[cond:]), true
}

// Alternatives tells whether a condition is one OR another: what is added to
// its end with AND would be about the last of them alone.
func Alternatives(where string, d Dialect) bool {
	all, err := tokens(where, d)
	depth := 0
	for _, t := range all {
		switch word := strings.ToUpper(where[t.start:t.end]); {
		case word == "(":
			depth++
		case word == ")":
			depth--
		case word == "OR" && t.kind == tokenWord && depth == 0:
			return true
		}
	}
	return err != nil
}

// tokens returns the tokens of a text without its comments.
func tokens(text string, d Dialect) ([]token, error) {
	sc := scanner{text: text, dialect: d}
	var all []token
	for {
		t, ok, err := sc.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return all, nil
		}
		if t.kind != tokenComment {
			all = append(all, t)
		}
	}
}
