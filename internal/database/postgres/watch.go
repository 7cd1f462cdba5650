package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const watchEvery = 250 * time.Millisecond

// watch looks, on the session that holds the lock, who keeps the session with
// pid waiting, until stop is called. stop returns what was seen last.
func (l *lock) watch(ctx context.Context, pid uint32) (stop func() string) {
	done, result := make(chan struct{}), make(chan string)
	every := max(min(watchEvery, l.wait/3), 10*time.Millisecond)
	go func() {
		seen := ""
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				result <- seen
				return
			case <-ctx.Done():
				<-done
				result <- seen
				return
			case <-tick.C:
				if now := blockers(ctx, l.conn, pid); now != "" {
					seen = now
				}
			}
		}
	}()
	return func() string {
		close(done)
		return <-result
	}
}

// blockers describes the sessions a session waits for, "" when it waits for
// none or that cannot be told.
func blockers(ctx context.Context, conn *pgx.Conn, pid uint32) string {
	rows, err := conn.Query(ctx, `SELECT b.pid, coalesce(nullif(a.application_name, ''), 'unnamed'), coalesce(a.usename::text, '?'),
			coalesce(a.state, 'state not visible'), coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::bigint, 0)
		FROM unnest(pg_blocking_pids($1)) b (pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid LIMIT 3`, int32(pid))
	if err != nil {
		return ""
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var pid int32
		var name, user, state string
		var seconds int64
		err := row.Scan(&pid, &name, &user, &state, &seconds)
		return fmt.Sprintf("pid %d (%s, user %s, %s, in a transaction for %d s)", pid, name, user, state, seconds), err
	})
	if err != nil {
		return ""
	}
	return strings.Join(found, " and ")
}
