package deploy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/live"
	"github.com/shiplock/shiplock/internal/rewrite"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// The bounds of what is looked at before a migration.
const (
	// longTransaction is how old a transaction has to be before it is in the
	// way: a migration would wait for it, and everybody else for the migration.
	longTransaction = time.Minute
	countAtMost     = 30 * time.Second // what takes longer is not known
)

// obstacles looks for what would keep the migrations of a plan from
// succeeding: rows that do not satisfy a constraint, and transactions that
// have been open for long. The plan is refused, before anything is changed.
func (w *work) obstacles(ctx context.Context, p ship.Plan) (ship.Plan, error) {
	if p.Refused != nil || w.db == nil || len(p.Migrations) == 0 || w.run.Request.Options.Down != "" {
		return p, nil
	}
	if err := w.nobodyInTheWay(ctx, p.Migrations); err != nil {
		if ship.KindOf(err) != ship.Locked {
			return p, err
		}
		p.Refused = &ship.Refusal{Kind: ship.Locked, Reason: err.Error(), Hint: ship.HintOf(err)}
		return p, nil
	}
	if w.known == nil {
		return p, nil
	}
	c := w.checker(w.known)
	for _, m := range p.Migrations {
		fails, notes := w.rowsInTheWay(ctx, c, m)
		p.Notes = append(p.Notes, notes...)
		if len(fails) > 0 {
			p.Refused = &ship.Refusal{Kind: ship.MigrationFailed, Reason: fails[0].Error(), Hint: ship.HintOf(fails[0])}
			return p, nil
		}
	}
	return p, nil
}

func (w *work) checker(s *lint.Snapshot) *rewrite.Checker {
	return rewrite.NewChecker(rewrite.Context{Dialect: s.Dialect, Schema: s.Schema()})
}

// rowsInTheWay counts the rows that keep a migration from succeeding, and
// those that would be refused after it. What cannot be counted is left to the
// database to say.
func (w *work) rowsInTheWay(ctx context.Context, c *rewrite.Checker, m ship.Migration) (fails []error, notes []string) {
	if m.SQL == "" || slices.ContainsFunc(m.Operations, func(op string) bool {
		return strings.HasPrefix(op, "RunPython") || strings.HasPrefix(op, "SQL not shown")
	}) {
		c.Opaque()
		return nil, nil
	}
	for _, check := range c.Read(m.SQL) {
		n := w.countRows(ctx, check.SQL)
		if n == 0 {
			continue
		}
		many := strconv.FormatInt(n, 10)
		if n >= rewrite.MostCounted {
			many = "at least " + many
		}
		said := fmt.Sprintf("%s %s (%s, line %d)", many, check.What, m.ID, check.Line)
		if !check.Fails {
			notes = append(notes, said+": from then on every UPDATE of them fails, whatever it changes, and so does VALIDATE CONSTRAINT")
			continue
		}
		fails = append(fails, ship.Errorf(ship.MigrationFailed, "mend these rows first, with a backfill of a release before (docs/backfills.md): "+check.SQL,
			"%s cannot succeed: %s", m.ID, said))
	}
	return fails, notes
}

func (w *work) countRows(ctx context.Context, query string) int64 {
	ctx, cancel := context.WithTimeout(ctx, countAtMost)
	defer cancel()
	rows, err := w.db.Rows(ctx, query)
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		w.e.Log.DebugContext(ctx, "rows in the way of a migration were not counted", "error", w.mask.String(fmt.Sprint(err)))
		return 0
	}
	n, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// satisfied refuses a migration that rows are in the way of, with the schema
// and the rows there are now.
func (m *migration) satisfied(ctx context.Context, mig ship.Migration) error {
	if _, held := m.w.left(0); held || m.others {
		return nil // who waits was not to wait for counting; or some of it is done
	}
	known, err := live.Read(ctx, m.w.db, m.w.run.Request.Environment.Database.Kind)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	fails, notes := m.w.rowsInTheWay(ctx, m.w.checker(known), mig)
	for _, n := range notes {
		m.w.event(ctx, ship.EventNote, n, nil)
	}
	if len(fails) > 0 {
		return fails[0]
	}
	return nil
}

// nobodyInTheWay refuses to begin while somebody has a transaction open that
// the migrations would wait for.
func (w *work) nobodyInTheWay(ctx context.Context, all []ship.Migration) error {
	db, ok := w.db.(database.Observer)
	if !ok {
		return nil
	}
	open, err := db.OpenTransactions(ctx, longTransaction)
	if err != nil || len(open) == 0 {
		return err
	}
	known, snapshots := true, false
	var tables []string
	for _, m := range all {
		locks := rewrite.ReadLocks(m.SQL, sqltext.Dialect(w.run.Request.Environment.Database.Kind))
		tables = append(tables, locks.Tables...)
		known, snapshots = known && locks.Known, snapshots || locks.Snapshots
	}
	var who []string
	var first database.Transaction
	for _, t := range open {
		if !known && len(t.Tables) > 0 || snapshots && t.Snapshot || t.Uses(tables) {
			if who = append(who, t.String()); len(who) == 1 {
				first = t
			}
		}
	}
	if len(who) == 0 {
		return nil
	}
	hint := "wait until it has ended, then try again"
	if first.PID > 0 {
		hint += fmt.Sprintf(", or end it: SELECT pg_terminate_backend(%d)", first.PID)
	}
	return ship.Errorf(ship.Locked, hint, "migrations would wait for a transaction that has been open for long, and everybody else for them: %s", strings.Join(who[:min(3, len(who))], "; "))
}
