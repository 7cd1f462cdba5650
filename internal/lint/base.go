package lint

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/shiplock/shiplock/internal/sqltext"
)

// Learn adds the schema that a base file makes, and returns the first of what
// cannot be read in it. It may be what pg_dump wrote.
func Learn(s *Schema, d sqltext.Dialect, name, text string) error {
	all, err := sqltext.Split(withoutClient(text, d), d)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, st := range all {
		s.learn(st.Tree(d), false)
	}
	return nil
}

// copiesIn finds the line after which a dump has rows.
var copiesIn = regexp.MustCompile(`(?i)^COPY .* FROM stdin;\s*$`)

// withoutClient blanks out what a dump holds for psql: its commands, such as
// \restrict, and rows. Lines stay.
func withoutClient(text string, d sqltext.Dialect) string {
	if d != sqltext.Postgres || !strings.Contains(text, "\n\\") && !strings.HasPrefix(text, "\\") {
		return text
	}
	var b strings.Builder
	rows := false
	for line := range strings.Lines(text) {
		command := strings.HasPrefix(line, "\\")
		begins := !rows && copiesIn.MatchString(line)
		if rows || command || begins {
			b.WriteString(blank(line))
		} else {
			b.WriteString(line)
		}
		rows = begins || rows && strings.TrimRight(line, "\r\n") != `\.`
	}
	return b.String()
}
