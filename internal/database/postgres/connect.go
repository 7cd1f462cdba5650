package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/shiplock/shiplock/internal/ship"
)

const (
	connectTimeout = 10 * time.Second
	// keepAlive bounds how long a cut connection goes unnoticed by us.
	keepAlive = 30 * time.Second
)

// parse reads a URL the way applications write it: the dialects of SQLAlchemy
// ("postgresql+psycopg://") and the parameters of Prisma mean nothing to the
// server and are left out. No error of it repeats the URL, which holds a password.
func parse(secret ship.Secret) (*pgx.ConnConfig, map[string]string, error) {
	const hint = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters percent-encoded"
	u, err := url.Parse(strings.TrimSpace(secret.Reveal()))
	if err != nil {
		return nil, nil, ship.Errorf(ship.Invalid, hint, "the database URL cannot be parsed")
	}
	scheme, _, _ := strings.Cut(u.Scheme, "+")
	if scheme != "postgres" && scheme != "postgresql" {
		return nil, nil, ship.Errorf(ship.Invalid, hint, "the database URL does not begin with postgres://")
	}
	u.Scheme = scheme
	query := u.Query()
	options := map[string]string{}
	for name := range query {
		switch name {
		case "schema", "connection_limit", "pool_timeout", "pgbouncer", "application_name", "fallback_application_name":
			query.Del(name)
		default:
			options[name] = query.Get(name)
		}
	}
	u.RawQuery = query.Encode()
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, nil, ship.Errorf(ship.Invalid, hint, "the database URL is not one PostgreSQL can use: %s", reasonOf(err, u))
	}
	if cfg.Database == "" {
		return nil, nil, ship.Errorf(ship.Invalid, hint, "the database URL names no database")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	// Nothing is prepared by name: another session may change what a plan of
	// ours was made for, and a pooler may hand the next statement elsewhere.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	cfg.DialFunc = (&net.Dialer{KeepAlive: keepAlive, Timeout: cfg.ConnectTimeout}).DialContext
	cfg.BuildContextWatcherHandler = cancelOnServer
	return cfg, options, nil
}

// reasonOf returns what is wrong with a URL, unless that would repeat it.
func reasonOf(err error, u *url.URL) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	text := err.Error()
	if password, ok := u.User.Password(); ok && password != "" && strings.Contains(text, password) || strings.Contains(text, "://") {
		return "host, port or a parameter is wrong"
	}
	return text
}

// cancelOnServer makes the end of a context end the statement on the server.
// Closing the connection alone would let it run on, locks and all.
func cancelOnServer(conn *pgconn.PgConn) ctxwatch.Handler {
	return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 5 * time.Second}
}

// connect opens a session under an application_name, in another database of
// the server when one is named.
func (d *DB) connect(ctx context.Context, application, name string) (*pgx.Conn, error) {
	cfg := d.conn.Copy()
	cfg.RuntimeParams["application_name"] = application
	if name != "" {
		cfg.Database = name
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, d.explainTo(err, cfg.Database)
	}
	return conn, nil
}

// explain turns a failure to reach the database, or its refusal to let us do
// something, into a sentence. Other errors pass unchanged.
func (d *DB) explain(err error) error { return d.explainTo(err, d.conn.Database) }

func (d *DB) explainTo(err error, name string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*ship.Error](err); ok {
		return err
	}
	host := fmt.Sprintf("%s:%d", d.conn.Host, d.conn.Port)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return d.explainCode(err, pgErr, host, name)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return unreachable("check the host name in the database URL", "the host %s of the database is not known: %s", d.conn.Host, dns.Err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return unreachable("start the database, or correct host and port", "nothing accepts connections at %s (connection refused)", host)
	case isTimeout(err):
		return unreachable("check network, firewall and host", "no answer from the database at %s in time", host)
	case isConnect(err):
		return unreachable("check host, port and sslmode in the database URL", "cannot connect to the database at %s: %s", host, d.hide(rootOf(err)))
	}
	return err
}

func (d *DB) explainCode(err error, pgErr *pgconn.PgError, host, name string) error {
	switch pgErr.Code {
	case "28P01", "28000":
		return unreachable("check user and password in the database URL, and pg_hba.conf",
			"the database at %s refuses user %q: %s", host, d.conn.User, d.hide(pgErr.Message))
	case "3D000":
		return unreachable("create it, or correct the name", "there is no database %q at %s", name, host)
	case "53300":
		return unreachable("wait, or raise max_connections", "the database at %s has no connection left: %s", host, pgErr.Message)
	case "57P03":
		return unreachable("wait until it has started", "the database at %s is not ready: %s", host, pgErr.Message)
	case "55000":
		if isConnect(err) {
			return unreachable("", "the database %q at %s accepts no connections: %s", name, host, pgErr.Message)
		}
	case "42501":
		return unreachable("grant the migration role what it lacks", "user %q is not allowed to do this in %q at %s: %s",
			d.conn.User, name, host, pgErr.Message)
	}
	return err
}

// hide replaces the password in text that came from elsewhere.
func (d *DB) hide(text string) string {
	if d.conn.Password == "" {
		return text
	}
	return strings.NewReplacer(d.conn.Password, "***", url.QueryEscape(d.conn.Password), "***",
		url.PathEscape(d.conn.Password), "***").Replace(text)
}

func unreachable(hint, format string, args ...any) error {
	return ship.Errorf(ship.Unreachable, hint, format, args...)
}

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

func isConnect(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

// rootOf returns the innermost error's text: what is wrapped around it repeats
// user and database.
func rootOf(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
