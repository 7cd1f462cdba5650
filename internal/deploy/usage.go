package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A sample is what was counted of the statements that use what a contract takes
// away, up to a moment. The server adds up from its start on: what was called
// since is the difference between two samples.
type sample struct {
	At      time.Time        `json:"at"`
	Since   time.Time        `json:"since"` // from when on no use escaped us
	Reset   time.Time        `json:"reset"`
	Evicted int64            `json:"evicted"`
	Calls   map[string]int64 `json:"calls"` // by statement, of those that use it
	Used    []plan.Use       `json:"used"`  // newest first
	Lost    string           `json:"lost,omitempty"`
}

// mostUses bounds what is kept of the statements that were called.
const mostUses = 50

// usage says which statements used what contracts take away, as far as the
// database counts them. Each look is kept, and counts from the one before.
func (w *work) usage(ctx context.Context, all []ship.Migration) map[string]plan.Usage {
	c, ok := w.db.(database.Counter)
	if !ok {
		return nil
	}
	out := map[string]plan.Usage{}
	seen, err := c.Statements(ctx)
	for _, m := range all {
		var taken []sqltext.Taken
		for _, t := range plan.Takes(m, w.dialect()).Taken {
			if t.Used() {
				taken = append(taken, t)
			}
		}
		switch {
		case err != nil:
			out[m.ID] = plan.Usage{Missing: "the counted statements could not be read: " + w.mask.String(err.Error())}
		case m.SQL == "" && len(taken) == 0:
			out[m.ID] = plan.Usage{Missing: "its tool shows no SQL: what it takes away is not known"}
		case len(taken) == 0: // nothing that a statement names
		case seen.Missing != "":
			out[m.ID] = plan.Usage{Missing: seen.Missing, Next: seen.Next}
		default:
			out[m.ID] = w.lookAgain(m.ID, seen, taken)
		}
	}
	return out
}

// lookAgain compares what is counted now with the look before, and keeps it.
func (w *work) lookAgain(id string, seen database.Statements, taken []sqltext.Taken) plan.Usage {
	path := w.usageFile(id)
	before, err := readSample(path)
	if err != nil {
		return plan.Usage{Missing: err.Error(), Next: "rm " + path}
	}
	now := nextSample(before, seen, taken)
	if err := keepSample(path, now); err != nil {
		w.e.Log.Warn("keep what was counted", "migration", id, "error", err)
	}
	return plan.Usage{Since: now.Since, Counted: len(seen.All), Used: now.Used, Next: now.Lost}
}

// nextSample follows a sample, nil being none. Where the server forgot
// something, by a reset or because entries gave way, what we know begins anew.
func nextSample(before *sample, seen database.Statements, taken []sqltext.Taken) sample {
	now := sample{At: seen.At, Reset: seen.Reset, Evicted: seen.Evicted, Calls: map[string]int64{}}
	var called []plan.Use
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
			called = append(called, plan.Use{SQL: s.SQL, Calls: calls, After: before.At, Until: seen.At})
		}
	}
	switch {
	case before == nil && len(now.Calls) == 0 && seen.Evicted == 0 && !seen.Reset.IsZero():
		now.Since = seen.Reset // none was ever called since
	case before == nil:
		now.Since = seen.At
	case seen.Reset.After(before.At):
		now.Since, now.Used = seen.Reset, before.Used
		now.Lost = fmt.Sprintf("pg_stat_statements was reset at %s; leave it alone until then", seen.Reset.UTC().Format(time.DateTime))
	case seen.Evicted != before.Evicted:
		now.Since, now.Used = seen.At, before.Used
		now.Lost = "entries of pg_stat_statements gave way to others; raise pg_stat_statements.max"
	default:
		now.Since, now.Used, now.Lost = before.Since, before.Used, before.Lost
	}
	now.Used = append(called, now.Used...)
	now.Used = now.Used[:min(len(now.Used), mostUses)]
	return now
}

// changesOrReads leaves out what only changes the schema, and the copies that
// backups make of all that is there: neither is a use.
func changesOrReads(sql string) bool {
	verb, _, _ := strings.Cut(strings.TrimLeft(sql, " \t\r\n("), " ")
	switch strings.ToUpper(strings.TrimSpace(verb)) {
	case "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT", "ANALYZE", "VACUUM", "REINDEX", "CLUSTER", "LOCK", "SET", "REFRESH":
		return false
	case "COPY":
		low := strings.ToLower(strings.TrimRight(sql, "; \n"))
		return !strings.HasSuffix(low, "to stdout")
	}
	return true
}

func (w *work) usageFile(id string) string {
	name := strings.NewReplacer("/", "-", string(filepath.Separator), "-", ":", "-").Replace(id)
	return filepath.Join(w.e.Dir, "usage", w.env().App, w.env().Name, name+".json")
}

func readSample(path string) (*sample, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nobody looked before
	}
	var s sample
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("what was counted before could not be read: %w", err)
	}
	return &s, nil
}

func keepSample(path string, s sample) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, text, 0o600)
}

// watchUsage begins to count what uses the contracts that a run left waiting.
func (w *work) watchUsage(ctx context.Context) {
	if w.db == nil || len(w.run.Plan.Waiting) == 0 {
		return
	}
	all := make([]ship.Migration, len(w.run.Plan.Waiting))
	for i, x := range w.run.Plan.Waiting {
		all[i] = x.Migration
	}
	w.usage(ctx, all)
}
