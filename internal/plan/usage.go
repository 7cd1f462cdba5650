package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A Sample is what was counted of the statements that use what a contract takes
// away, up to a moment. The server adds up from its start on: what was called
// since is the difference between two samples.
type Sample struct {
	At      time.Time        `json:"at"`
	Since   time.Time        `json:"since"` // from when on no use escaped us
	Reset   time.Time        `json:"reset"`
	Evicted int64            `json:"evicted"`
	Calls   map[string]int64 `json:"calls"` // by statement, of those that use it
	Used    []Use            `json:"used"`  // newest first
	Lost    string           `json:"lost,omitempty"`
	Taken   []sqltext.Taken  `json:"taken"` // what was looked for
}

// mostUses bounds what is kept of the statements that were called.
const mostUses = 50

// Look returns the sample that follows one, nil being none. Where the server
// forgot something, by a reset or because entries gave way, what we know begins
// anew, and so it does when something else is taken away than was looked for.
func Look(before *Sample, seen database.Statements, taken []sqltext.Taken) Sample {
	now := Sample{At: seen.At, Reset: seen.Reset, Evicted: seen.Evicted, Calls: map[string]int64{}, Taken: taken}
	if before != nil && !slices.EqualFunc(before.Taken, taken, func(a, b sqltext.Taken) bool { return a.String() == b.String() }) {
		before = nil
	}
	var called []Use
	for _, s := range seen.All {
		if !changesOrReads(s.SQL) || !slices.ContainsFunc(taken, func(t sqltext.Taken) bool { return sqltext.Uses(s.SQL, sqltext.Postgres, t) }) {
			continue
		}
		now.Calls[s.ID] = s.Calls
		if before == nil {
			continue
		}
		calls := s.Calls
		if then := before.Calls[s.ID]; !seen.Reset.After(before.At) && then <= calls {
			calls -= then
		}
		if calls > 0 {
			called = append(called, Use{SQL: s.SQL, Calls: calls, After: before.At, Until: seen.At})
		}
	}
	now.since(before, seen)
	now.Used = append(called, now.Used...)
	now.Used = now.Used[:min(len(now.Used), mostUses)]
	return now
}

// since says from when on no use escaped us, and what was lost.
func (s *Sample) since(before *Sample, seen database.Statements) {
	s.Since = seen.At
	if before == nil {
		if len(s.Calls) == 0 && seen.Evicted == 0 && !seen.Reset.IsZero() {
			s.Since = seen.Reset // none was ever called since
		}
		return
	}
	s.Used = before.Used
	switch {
	case seen.Reset.After(before.At):
		s.Since = seen.Reset
		s.Lost = fmt.Sprintf("pg_stat_statements was reset at %s; leave it alone until then", seen.Reset.UTC().Format(time.DateTime))
	case !seen.Reset.Equal(before.Reset):
		s.Lost = "pg_stat_statements is another one than before: a replica that took over, or a restored server"
	case seen.Evicted != before.Evicted:
		s.Lost = "entries of pg_stat_statements gave way to others; raise pg_stat_statements.max"
	case s.fewer(before):
		s.Lost = "statements were taken out of pg_stat_statements one by one; leave it alone until then"
	default:
		s.Since, s.Lost = before.Since, before.Lost
	}
}

// fewer tells whether a statement has fewer calls than before, or none.
func (s *Sample) fewer(before *Sample) bool {
	for id, calls := range before.Calls {
		if s.Calls[id] < calls {
			return true
		}
	}
	return false
}

// changesOrReads leaves out what only changes the schema, the copies that
// backups make of all that is there, and what we do ourselves beside our own
// tables: none is a use.
func changesOrReads(sql string) bool {
	words := strings.Fields(strings.TrimLeft(sql, " \t\r\n("))
	if len(words) == 0 || strings.Contains(sql, "_shiplock") {
		return false
	}
	switch strings.ToUpper(words[0]) {
	case "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT", "ANALYZE", "VACUUM", "REINDEX", "CLUSTER", "LOCK", "SET", "REFRESH":
		return false
	case "COPY":
		low := strings.ToLower(strings.TrimRight(sql, "; \n"))
		return !strings.HasSuffix(low, "to stdout")
	}
	return true
}
