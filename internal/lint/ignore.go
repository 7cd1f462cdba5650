package lint

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// NoReason is the id of findings about an ignore comment that gives none.
const NoReason = "PG090"

// An Ignore is a rule of the configuration that is not to be reported.
type Ignore struct {
	Rule   string
	Files  string // pattern of names; "" is all
	Reason string
}

// An ignored is one ignore comment: of a statement, or of the file.
type ignored struct {
	rules  []string
	reason string
	line   int
	from   int // lines of the statement it is for; 0 is the whole file
	used   bool
}

type ignores struct {
	list   []*ignored
	config []Ignore
	file   string
	tell   func(f Finding, reason string) // of what is left out; nil is nobody
}

var (
	ignoreComment = regexp.MustCompile(`(?i)^--\s*shiplock:(ignore-file|ignore)\b:?\s*(.*)$`)
	ruleName      = regexp.MustCompile(`^[A-Z]{2}[0-9]{3}$`)
)

// readIgnores finds the comments. One on a line of its own is for the next
// statement; one at the end of a statement's line for that; one that begins
// with ignore-file for the whole file.
func readIgnores(f File, all []sqltext.Statement, o Options) ignores {
	found := ignores{config: o.Ignore, file: f.Name, tell: o.Ignored}
	for _, c := range sqltext.Comments(f.Text, o.Dialect) {
		m := ignoreComment.FindStringSubmatch(c.Text)
		if m == nil {
			continue
		}
		ig := &ignored{line: c.Line}
		ig.rules, ig.reason = splitReason(m[2])
		if !strings.EqualFold(m[1], "ignore-file") {
			ig.from = statementAt(all, c.Line, c.Beside)
		}
		found.list = append(found.list, ig)
	}
	return found
}

func splitReason(text string) (rules []string, reason string) {
	words := strings.Fields(text)
	n := 0
	for ; n < len(words); n++ {
		name := strings.ToUpper(strings.Trim(words[n], ",:"))
		if !ruleName.MatchString(name) {
			break
		}
		rules = append(rules, name)
	}
	return rules, strings.Trim(strings.TrimSpace(strings.TrimPrefix(strings.Join(words[n:], " "), "reason=")), `"'`)
}

// statementAt returns the line of the statement that a comment on a line is
// for, or -1 when there is none.
func statementAt(all []sqltext.Statement, line int, beside bool) int {
	for _, s := range all {
		end := s.Line + strings.Count(s.SQL, "\n")
		if beside && s.Line <= line && line <= end || s.Line > line || !beside && s.Line <= line && line < end {
			return s.Line
		}
	}
	return -1
}

// apply takes out what is ignored with a reason.
func (g ignores) apply(found []Finding) []Finding {
	return slices.DeleteFunc(found, func(f Finding) bool {
		for _, c := range g.config {
			if c.Rule == f.Rule && c.Reason != "" && matches(c.Files, g.file) {
				return g.left(f, c.Reason)
			}
		}
		for _, ig := range g.list {
			if slices.Contains(ig.rules, f.Rule) && (ig.from == 0 || ig.from == f.Line) {
				ig.used = true
				if ig.reason != "" {
					return g.left(f, ig.reason)
				}
			}
		}
		return false
	})
}

// left tells that a finding is left out, which is true.
func (g ignores) left(f Finding, reason string) bool {
	if g.tell != nil {
		g.tell(f, reason)
	}
	return true
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	base, _ := path.Match(pattern, path.Base(name))
	return err == nil && (ok || base)
}

// complaints are findings about the comments themselves.
func (g ignores) complaints(f File) []Finding {
	var all []Finding
	for _, ig := range g.list {
		var text string
		class := Block
		switch {
		case len(ig.rules) == 0:
			text = "This names no rule to ignore: write -- shiplock:ignore PG116 and the reason."
		case ig.reason == "":
			text = fmt.Sprintf("This ignores %s without a reason, so it is not ignored: write why behind it.", strings.Join(ig.rules, ", "))
		case !ig.used:
			class, text = Info, fmt.Sprintf("This ignores %s, which is not found here: take it out.", strings.Join(ig.rules, ", "))
		default:
			continue
		}
		all = append(all, Finding{File: f.Name, Line: ig.line, Column: 1, Rule: NoReason, Class: class, Hit: Hit{Message: text, Keeps: true}})
	}
	return all
}
