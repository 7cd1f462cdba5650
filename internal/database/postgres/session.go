package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// nameLimit is how much of an application_name the server keeps.
const nameLimit = 63

// A tag marks a session as belonging to a run and its epoch. It is what a
// later owner of the lock recognises sessions of a dead one by, including
// those of the tools it started.
type tag struct {
	run   string
	epoch int64
}

var tagForm = regexp.MustCompile(`^shiplock run=(.*) epoch=([0-9]+)$`)

func (t tag) String() string {
	end := fmt.Sprintf(" epoch=%d", t.epoch)
	begin := "shiplock run=" + t.run
	if room := nameLimit - len(end); len(begin) > room {
		begin = begin[:room] // the epoch is what decides
	}
	return begin + end
}

func parseTag(name string) (tag, bool) {
	m := tagForm.FindStringSubmatch(name)
	if m == nil {
		return tag{}, false
	}
	epoch, err := strconv.ParseInt(m[2], 10, 64)
	return tag{m[1], epoch}, err == nil
}

// A session is one of the server's, as far as we may see it.
type session struct {
	pid  int32
	name string
}

func (s session) String() string { return fmt.Sprintf("pid %d (%s)", s.pid, s.name) }

// endOlder asks the sessions in this database that carry a lower epoch to end
// and returns those that are still there.
func endOlder(ctx context.Context, conn *pgx.Conn, epoch int64) ([]session, error) {
	all, err := sessions(ctx, conn, `SELECT pid, application_name FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND coalesce(backend_type, 'client backend') = 'client backend'
		AND application_name LIKE 'shiplock run=% epoch=%'`)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var older []session
	for _, s := range all {
		t, ok := parseTag(s.name)
		if !ok || t.epoch >= epoch {
			continue
		}
		if _, err := conn.Exec(ctx, "SELECT pg_terminate_backend($1)", s.pid); err != nil {
			if hasCode(err, "42501") {
				return nil, unreachable("GRANT pg_signal_backend TO the migration role", "may not end session %s of an earlier run: %w", s, err)
			}
			return nil, fmt.Errorf("end session %s: %w", s, err)
		}
		older = append(older, s)
	}
	return older, nil
}

func sessions(ctx context.Context, conn *pgx.Conn, query string, args ...any) ([]session, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s session, err error) {
		return s, row.Scan(&s.pid, &s.name)
	})
}

// settle makes a session outlive the server's limits for idle ones, and end
// soon when its client is gone.
func settle(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config(name, value, false) FROM (VALUES
		('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'),
		('idle_session_timeout', '0'), ('client_connection_check_interval', '5s')) v (name, value)
		WHERE current_setting(name, true) IS NOT NULL`)
	if _, refused := errors.AsType[*pgconn.PgError](err); err != nil && !refused {
		return fmt.Errorf("prepare session: %w", err)
	}
	return nil // not every platform has them all, and none is needed to be right
}

// inTransaction calls do within a transaction whose statements wait for a lock
// no longer than lockTimeout.
func inTransaction(ctx context.Context, conn *pgx.Conn, lockTimeout time.Duration, do func() error) (err error) {
	if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() {
		if err != nil && !conn.IsClosed() {
			clean, cancel := cleanup(ctx)
			defer cancel()
			_, _ = conn.Exec(clean, "ROLLBACK")
		}
	}()
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", lockTimeout.Milliseconds())); err != nil {
		return fmt.Errorf("limit waiting for locks: %w", err)
	}
	if err := do(); err != nil {
		return err
	}
	done, err := conn.Exec(ctx, "COMMIT")
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if done.String() != "COMMIT" {
		return fmt.Errorf("commit: the server answered %s", done)
	}
	return nil
}
