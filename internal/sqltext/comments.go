package sqltext

// A Comment is a comment of a text, with its marks.
type Comment struct {
	Text   string
	Line   int
	Beside bool // something comes before it on its line
}

// Comments returns the comments of a text up to where it cannot be read. What
// looks like one within a literal is none.
func Comments(text string, d Dialect) []Comment {
	sc := scanner{text: text, dialect: d}
	var all []Comment
	line, counted, lastEnd := 1, 0, 0
	for {
		t, ok, err := sc.next()
		if err != nil || !ok {
			return all
		}
		beside := lastEnd > 0
		for ; counted < t.start; counted++ {
			if text[counted] == '\n' {
				line++
				if counted >= lastEnd {
					beside = false
				}
			}
		}
		if t.kind == tokenComment {
			all = append(all, Comment{Text: text[t.start:t.end], Line: line, Beside: beside})
			continue
		}
		lastEnd = t.end
	}
}
