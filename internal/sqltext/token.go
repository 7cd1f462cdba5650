package sqltext

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Dialect names whose lexical rules a text follows.
type Dialect string

// The dialects, as [ship.Database] kinds name them.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// An Error says where a text cannot be read. Line and Column count from 1,
// columns in characters.
type Error struct {
	Line   int
	Column int
	Text   string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Text)
}

// A tokenKind is what a token is as far as splitting needs it.
type tokenKind int

const (
	tokenWord   tokenKind = iota // unquoted identifier or keyword
	tokenQuoted                  // quoted identifier
	tokenString                  // literal, dollar-quoted too
	tokenNumber
	tokenSymbol // any other single byte
	tokenComment
)

type token struct {
	kind  tokenKind
	start int
	end   int
}

// A scanner cuts a text into tokens. Between two tokens is white space alone.
type scanner struct {
	text    string
	dialect Dialect
	pos     int
}

// next returns the next token; ok is false at the end of the text.
func (s *scanner) next() (t token, ok bool, err error) {
	for s.pos < len(s.text) && isSpace(s.text, s.pos) > 0 {
		s.pos += isSpace(s.text, s.pos)
	}
	if s.pos >= len(s.text) {
		return token{}, false, nil
	}
	start := s.pos
	kind, end, err := s.scan(start)
	if err != nil {
		return token{}, false, err
	}
	s.pos = end
	return token{kind: kind, start: start, end: end}, true, nil
}

func (s *scanner) scan(at int) (tokenKind, int, error) {
	rest := s.text[at:]
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		return tokenComment, at + lineLength(rest), nil
	case strings.HasPrefix(rest, "/*"):
		return s.blockComment(at)
	case c == '\'':
		return s.quoted(at, tokenString, '\'', false)
	case c == '"':
		return s.quoted(at, tokenQuoted, '"', false)
	case c == '`' && s.dialect == SQLite:
		return s.quoted(at, tokenQuoted, '`', false)
	case c == '[' && s.dialect == SQLite:
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return 0, 0, s.fail(at, "the [ is not closed")
		}
		return tokenQuoted, at + end + 1, nil
	case c == '$' && s.dialect == Postgres:
		return s.dollar(at)
	case isWordStart(c):
		return s.word(at)
	case isDigit(c):
		end := at + 1
		for end < len(s.text) && (isWordPart(s.text[end]) || s.text[end] == '.') {
			end++
		}
		return tokenNumber, end, nil
	case c == 0:
		return 0, 0, s.fail(at, "there is a NUL byte")
	case c == '\\':
		return 0, 0, s.fail(at, "a command of psql, which only psql understands")
	default:
		return tokenSymbol, at + 1, nil
	}
}

func (s *scanner) word(at int) (tokenKind, int, error) {
	end := at + 1
	for end < len(s.text) && isWordPart(s.text[end]) {
		end++
	}
	escapes := s.dialect == Postgres && end == at+1 && (s.text[at] == 'e' || s.text[at] == 'E')
	if escapes && end < len(s.text) && s.text[end] == '\'' {
		return s.quoted(end, tokenString, '\'', true)
	}
	return tokenWord, end, nil
}

// quoted scans what begins with a quote at position at. A doubled quote is
// part of it and, with escapes, so is one after a backslash.
func (s *scanner) quoted(at int, kind tokenKind, quote byte, escapes bool) (tokenKind, int, error) {
	for i := at + 1; i < len(s.text); i++ {
		switch {
		case escapes && s.text[i] == '\\':
			i++
		case s.text[i] != quote:
		case i+1 < len(s.text) && s.text[i+1] == quote:
			i++
		case escapes:
			// The escapes stay in force in a literal that goes on on a later line.
			if next := continued(s.text[i+1:]); next > 0 {
				i += next
				continue
			}
			return kind, i + 1, nil
		default:
			return kind, i + 1, nil
		}
	}
	return 0, 0, s.fail(at, fmt.Sprintf("the %c is not closed", quote))
}

// continued returns the offset of the quote that continues a literal on a
// later line, counted from the literal's closing quote, or 0.
func continued(rest string) int {
	newline := false
	for i := range len(rest) {
		switch rest[i] {
		case '\n', '\r':
			newline = true
		case ' ', '\t', '\f', '\v':
		case '\'':
			if newline {
				return i + 1
			}
			return 0
		default:
			return 0
		}
	}
	return 0
}

// dollar scans $tag$ … $tag$; a $ that begins no tag is a symbol.
func (s *scanner) dollar(at int) (tokenKind, int, error) {
	end := at + 1
	for end < len(s.text) && s.text[end] != '$' && isWordPart(s.text[end]) {
		end++
	}
	if end >= len(s.text) || s.text[end] != '$' || (end > at+1 && isDigit(s.text[at+1])) {
		return tokenSymbol, at + 1, nil
	}
	tag := s.text[at : end+1]
	closing := strings.Index(s.text[end+1:], tag)
	if closing < 0 {
		return 0, 0, s.fail(at, fmt.Sprintf("the %s is not closed", tag))
	}
	return tokenString, end + 1 + closing + len(tag), nil
}

// blockComment scans a comment. PostgreSQL nests them; SQLite does not, and
// lets the end of the text close one.
func (s *scanner) blockComment(at int) (tokenKind, int, error) {
	if s.dialect == SQLite {
		if end := strings.Index(s.text[at+2:], "*/"); end >= 0 {
			return tokenComment, at + 2 + end + 2, nil
		}
		return tokenComment, len(s.text), nil
	}
	depth := 0
	for i := at; i+1 < len(s.text); {
		switch s.text[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return tokenComment, i, nil
			}
		default:
			i++
		}
	}
	return 0, 0, s.fail(at, "the /* is not closed")
}

func (s *scanner) fail(at int, text string) *Error {
	line, column := position(s.text, at)
	return &Error{Line: line, Column: column, Text: text}
}

// position returns the line and column of an offset.
func position(text string, at int) (line, column int) {
	before := text[:at]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}

// lineLength returns the length of the first line without its end.
func lineLength(s string) int {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return i
	}
	return len(s)
}

// isSpace returns the length of the white space at i: 0 for none, 3 for a byte
// order mark.
func isSpace(s string, i int) int {
	switch s[i] {
	case ' ', '\t', '\n', '\r', '\f', '\v':
		return 1
	}
	if strings.HasPrefix(s[i:], "\ufeff") {
		return len("\ufeff")
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }
