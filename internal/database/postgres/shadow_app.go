package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// An app is a session of the application in a shadow.
type app struct {
	conn     *pgx.Conn
	role     string
	prepared int
}

var _ database.Session = (*app)(nil)

// App connects with the application's own URL. Where that cannot reach the
// copy, its role is taken by the migration role.
func (s *shadow) App(ctx context.Context) (database.Session, error) {
	conn, own, err := s.appConn(ctx)
	if err != nil {
		return nil, err
	}
	a := &app{conn: conn}
	limits := fmt.Sprintf("SET lock_timeout = %d; SET statement_timeout = '60s'", s.lockTimeout.Milliseconds())
	if _, err := conn.Exec(ctx, limits, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, errors.Join(err, a.Close(ctx))
	}
	if err := conn.QueryRow(ctx, "SELECT current_user").Scan(&a.role); err != nil {
		return nil, errors.Join(err, a.Close(ctx))
	}
	if !own {
		a.role += " (the migration role: that of the application cannot be taken)"
	}
	return a, nil
}

func (s *shadow) appConn(ctx context.Context) (conn *pgx.Conn, own bool, err error) {
	if s.app.Reveal() == "" {
		conn, err = s.connect(ctx, reader, "")
		return conn, false, err
	}
	there, err := s.AppURL()
	if err != nil {
		return nil, false, err
	}
	as, err := New(database.Config{URL: there}, plugin.Deps{})
	if err != nil {
		return nil, false, err
	}
	if conn, err = as.connect(ctx, reader, ""); err == nil {
		return conn, true, nil
	}
	// A pooler in between does not know the copy.
	conn, err = s.connect(ctx, reader, "")
	if err != nil {
		return nil, false, err
	}
	if _, err := conn.Exec(ctx, "SET ROLE "+quote(as.conn.User)); err != nil {
		s.log.InfoContext(ctx, "the role of the application cannot be taken", "role", as.conn.User, "error", err)
		return conn, false, nil
	}
	return conn, true, nil
}

func (a *app) Role() string { return a.role }

// Prepare implements [database.Session].
func (a *app) Prepare(ctx context.Context, statement string) (execute string, err error) {
	a.prepared++
	name := fmt.Sprintf("shiplock_%d", a.prepared)
	_, err = a.exec(ctx, "PREPARE "+name+" AS "+statement)
	return "EXECUTE " + name, err
}

func (a *app) exec(ctx context.Context, statement string) (rows int64, err error) {
	results, err := a.conn.PgConn().Exec(ctx, statement).ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return 0, &database.Refused{Code: pgErr.Code, Message: pgErr.Message}
	}
	if err != nil {
		return 0, fmt.Errorf("try a statement of the application: %w", err)
	}
	if n := len(results); n > 0 {
		rows = results[n-1].CommandTag.RowsAffected()
	}
	return rows, nil
}

// Try implements [database.Session]. Constraints that wait for the end of the
// transaction are asked at the end of the statements.
func (a *app) Try(ctx context.Context, commit bool, statements ...string) (rows int64, err error) {
	if _, err := a.exec(ctx, "BEGIN"); err != nil {
		return 0, err
	}
	for _, s := range statements {
		if rows, err = a.exec(ctx, s); err != nil {
			break
		}
	}
	if err == nil {
		_, err = a.exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE")
	}
	end := "ROLLBACK"
	if commit && err == nil {
		end = "COMMIT"
	}
	if a.conn.IsClosed() {
		return 0, ship.Errorf(ship.Unreachable, "see the server's log", "the session on the copy was lost: %w", err)
	}
	if _, failed := a.exec(ctx, end); failed != nil && err == nil {
		err = failed
	}
	return rows, err
}

func (a *app) Close(ctx context.Context) error {
	closeConn(ctx, a.conn)
	return nil
}
