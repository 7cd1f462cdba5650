package sqltext

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Declaration returns what the author of a migration declared in a comment of
// its own line, in an SQL or a Python file:
//
//	-- shiplock: phase=expand reason="nobody reads the column any more"
//	# shiplock: phase=backfill reason="fills price_cents in batches"
//
// Without such a line it returns zero values. A declaration that cannot be
// read is an error of kind Invalid that names the line; a missing reason is
// not: the reason is then "".
func Declaration(text string) (phase ship.Phase, reason string, err error) {
	seen := 0
	for i, line := range strings.Split(text, "\n") {
		body, ok := declarationBody(line)
		if !ok {
			continue
		}
		if seen > 0 {
			return "", "", badDeclaration(i+1, fmt.Sprintf("there is one on line %d already", seen))
		}
		seen = i + 1
		phase, reason, err = parseDeclaration(body)
		if err != nil {
			return "", "", badDeclaration(i+1, err.Error())
		}
	}
	return phase, reason, nil
}

// declarationBody returns what follows "shiplock:" in a line that is a comment.
func declarationBody(line string) (string, bool) {
	line = strings.TrimSpace(line)
	rest, ok := strings.CutPrefix(line, "--")
	if !ok {
		if rest, ok = strings.CutPrefix(line, "#"); !ok {
			return "", false
		}
	}
	return strings.CutPrefix(strings.TrimSpace(rest), "shiplock:")
}

func parseDeclaration(body string) (phase ship.Phase, reason string, err error) {
	pair := regexp.MustCompile(`^([a-z]+)=("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"']+)(?:\s+|$)`)
	for body = strings.TrimSpace(body); body != ""; {
		m := pair.FindStringSubmatch(body)
		if m == nil {
			return "", "", fmt.Errorf("%q is not key=value", body)
		}
		body = body[len(m[0]):]
		switch value := unquote(m[2]); m[1] {
		case "phase":
			phase = ship.Phase(value)
		case "reason":
			reason = strings.TrimSpace(value)
		default:
			return "", "", fmt.Errorf("%q is unknown, known are phase and reason", m[1])
		}
	}
	switch phase {
	case ship.Expand, ship.Backfill, ship.Contract:
		return phase, reason, nil
	case "":
		return "", "", fmt.Errorf("it names no phase")
	default:
		return "", "", fmt.Errorf("phase %q is unknown, known are expand, backfill and contract", phase)
	}
}

// unquote takes off quotes; a backslash within them keeps the next character.
func unquote(s string) string {
	if s[0] != '"' && s[0] != '\'' {
		return s
	}
	var b strings.Builder
	s = s[1 : len(s)-1]
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func badDeclaration(line int, why string) error {
	return ship.Errorf(ship.Invalid, `write: -- shiplock: phase=expand reason="why the running release can live with it"`,
		"line %d: the declaration cannot be read: %s", line, why)
}
