package lint

import (
	"cmp"
	"path"
	"regexp"
	"strings"
)

var (
	gooseMark   = regexp.MustCompile(`(?mi)^--\s*\+goose\s+(up|down)\s*$`)
	gooseAlone  = regexp.MustCompile(`(?mi)^--\s*\+goose\s+no\s+transaction\s*$`)
	dbmateMark  = regexp.MustCompile(`(?m)^--[ \t]*migrate:(up|down)(.*)$`)
	flywayNamed = regexp.MustCompile(`^([VUR])[0-9._]*__.+\.sql$`)
	pairNamed   = regexp.MustCompile(`^[0-9]+_.*\.(up|down)\.sql$`)
)

// Parts cuts a file of a migration tool into its way up and its way down,
// which keep their lines, and says whether the tool runs them within a
// transaction. A file of no known tool is one part, without one.
func Parts(name, text string) []File {
	base := path.Base(strings.ReplaceAll(name, `\`, "/"))
	switch {
	case gooseMark.MatchString(text):
		return cut(name, text, gooseMark.FindAllStringSubmatchIndex(text, -1), func(string) bool { return !gooseAlone.MatchString(text) })
	case dbmateMark.MatchString(text):
		return cut(name, text, dbmateMark.FindAllStringSubmatchIndex(text, -1), func(mark string) bool { return !strings.Contains(mark, "transaction:false") })
	case pairNamed.MatchString(base):
		return []File{{Name: name, Text: text, Down: strings.HasSuffix(base, ".down.sql"), Batch: true}}
	case flywayNamed.MatchString(base):
		return []File{{Name: name, Text: text, Down: base[0] == 'U', Transaction: true, Between: true}}
	}
	return []File{{Name: name, Text: text, Transaction: false}}
}

// cut blanks out what does not belong to a way, so that lines stay.
func cut(name, text string, marks [][]int, transaction func(mark string) bool) []File {
	var all []File
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		all = append(all, File{
			Name: name, Text: blank(text[:m[0]]) + text[m[0]:end], Down: strings.EqualFold(text[m[2]:m[3]], "down"),
			Transaction: transaction(text[m[0]:m[1]]),
		})
	}
	return all
}

func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return r
		}
		return ' '
	}, s)
}

// CompareNames orders names the way tools apply them: numbers by value, V1.2
// before V1.10, ways up before ways down.
func CompareNames(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			if strings.HasPrefix(a, "up.") || strings.HasPrefix(b, "up.") {
				return -cmp.Compare(a[0], b[0])
			}
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
