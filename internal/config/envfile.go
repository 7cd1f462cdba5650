package config

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/shiplock/shiplock/internal/ship"
)

// parseEnvFile reads NAME=VALUE lines: blank lines and lines that begin with #
// are skipped, "export " before a name too. A value in single quotes is
// literal; in double quotes \n, \t, \r, \", \\ and \$ have their meaning; both
// may go over several lines. A value without quotes ends at " #" or its line.
// Nothing is expanded. Errors name a line and never its text.
func parseEnvFile(name, text string) (map[string]string, error) {
	p := envParser{rest: strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff"), line: 1}
	vars := map[string]string{}
	for p.rest != "" {
		line := p.line
		key, value, err := p.next()
		if err == nil && key != "" {
			if _, twice := vars[key]; twice {
				err = fmt.Errorf("%s is set twice", key)
			}
		}
		if err != nil {
			return nil, ship.Errorf(ship.Invalid, "write NAME=VALUE, one a line", "%s:%d: %w", name, line, err)
		}
		if key != "" {
			vars[key] = value
		}
	}
	return vars, nil
}

// An envParser is what of a file is not read yet, and its line number.
type envParser struct {
	rest string
	line int
}

// next reads one line, or several when a quoted value goes over several. A
// line without a variable gives the key "".
func (p *envParser) next() (key, value string, err error) {
	line, _, _ := strings.Cut(p.rest, "\n")
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' {
		p.skip(len(line))
		return "", "", nil
	}
	before, after, ok := strings.Cut(line, "=")
	if !ok {
		return "", "", fmt.Errorf("there is no = in the line")
	}
	key = strings.TrimSpace(before)
	if rest, found := strings.CutPrefix(key, "export"); found && rest != strings.TrimSpace(rest) {
		key = strings.TrimSpace(rest)
	}
	if !variablePattern.MatchString(key) {
		return "", "", fmt.Errorf("what stands before = is not the name of a variable")
	}
	after = strings.TrimLeft(after, " \t")
	if after != "" && (after[0] == '"' || after[0] == '\'') {
		p.skipTo(len(line) - len(after))
		value, err = p.quoted(after[0])
	} else {
		value = unquoted(after)
		p.skip(len(line))
	}
	if err == nil && (strings.ContainsRune(value, 0) || !utf8.ValidString(value)) {
		err = fmt.Errorf("the value of %s is not text", key)
	}
	return key, value, err
}

func unquoted(s string) string {
	for i := range len(s) {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			s = s[:i]
			break
		}
	}
	return strings.TrimSpace(s)
}

// quoted reads a value from its opening quote to the end of the line its
// closing quote is on.
func (p *envParser) quoted(quote byte) (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == quote:
			p.skipTo(i + 1)
			tail, _, _ := strings.Cut(p.rest, "\n")
			if t := strings.TrimSpace(tail); t != "" && t[0] != '#' {
				return "", fmt.Errorf("text after the closing quote")
			}
			p.skip(len(tail))
			return b.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(p.rest):
			i++
			b.WriteString(escaped(p.rest[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("a quote is not closed")
}

func escaped(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case '"', '\\', '$', '`':
		return string(c)
	}
	return `\` + string(c)
}

// skipTo drops n bytes.
func (p *envParser) skipTo(n int) {
	p.line += strings.Count(p.rest[:n], "\n")
	p.rest = p.rest[n:]
}

// skip drops n bytes and the newline after them.
func (p *envParser) skip(n int) { p.skipTo(min(n+1, len(p.rest))) }
