package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// takeBack takes the applied migrations of its plan back, the newest first. What
// an earlier attempt took back is not there any more.
func takeBack(ctx context.Context, w *work) (string, any, error) {
	m, end, err := w.beginMigration(ctx)
	if err != nil {
		return "", nil, err
	}
	defer end()
	if err := m.down(ctx); err != nil {
		return "", m.found, fmt.Errorf("%w; taken back before it: %s", err, dash(listed(m.found.Reverted)))
	}
	return "taken back: " + listed(m.found.Reverted), m.found, nil
}

func dash(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func names(ms []ship.Migration) string {
	ids := make([]string, len(ms))
	for i, m := range ms {
		ids[i] = m.ID
	}
	return listed(ids)
}

// How far what would be lost is counted, and for how long.
const (
	countUpTo = 100_000
	countTime = 5 * time.Second
)

// count says how much there is of what would be lost when migrations are taken
// back. What cannot be counted in time is left out.
func (w *work) count(ctx context.Context, l *migrate.Listing, id string) map[plan.Loss]string {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	counted := map[plan.Loss]string{}
	for _, loss := range plan.Losses(plan.TakenBack(l, id), w.run.Request.Environment.Database.Kind) {
		query, unit := "SELECT 1 FROM "+quoted(loss.Table), "rows"
		if loss.Column != "" {
			query, unit = query+" WHERE "+quoted(loss.Column)+" IS NOT NULL", "rows have one"
		}
		rows, err := w.db.Rows(ctx, fmt.Sprintf("SELECT count(*) FROM (%s LIMIT %d) AS x", query, countUpTo+1))
		if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
			continue
		}
		n := rows[0][0]
		if n == fmt.Sprint(countUpTo+1) {
			n = fmt.Sprintf("more than %d", countUpTo)
		}
		counted[loss] = n + " " + unit
	}
	return counted
}

// quoted writes a name as a query does.
func quoted(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(parts, ".")
}
