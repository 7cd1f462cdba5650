package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shiplock/shiplock/internal/ship"
)

// defaultSpace is the tablespace a new database gets when none is named.
const defaultSpace = "pg_default"

// create makes the fresh database as the live one was made.
func (j *restoration) create(ctx context.Context) error {
	var version int
	if err := j.admin.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	provider, locale := "'c'", "''"
	switch {
	case version >= 170000:
		provider, locale = "datlocprovider::text", "coalesce(datlocale, '')"
	case version >= 150000:
		provider, locale = "datlocprovider::text", "coalesce(daticulocale, '')"
	}
	var owner, encoding, collate, ctype, space, kind, name string
	var limit int
	err := j.admin.QueryRow(ctx, fmt.Sprintf(`SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, spcname, datconnlimit, %s, %s
		FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = $1`, provider, locale), j.live).
		Scan(&owner, &encoding, &collate, &ctype, &space, &limit, &kind, &name)
	if err != nil {
		return fmt.Errorf("look at database %s: %w", j.live, err)
	}
	sql := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 OWNER %s CONNECTION LIMIT %d", quote(j.fresh), quote(owner), limit)
	if space != defaultSpace {
		// Who names a tablespace needs rights on it, also on the default one.
		sql += " TABLESPACE " + quote(space)
	}
	options := [][2]string{{"ENCODING", encoding}, {"LC_COLLATE", collate}, {"LC_CTYPE", ctype}}
	switch kind {
	case "i":
		options = append(options, [2]string{"LOCALE_PROVIDER", "icu"}, [2]string{"ICU_LOCALE", name})
	case "b":
		options = append(options, [2]string{"LOCALE_PROVIDER", "builtin"}, [2]string{"BUILTIN_LOCALE", name})
	}
	for _, o := range options {
		value, err := literal(o[1])
		if err != nil {
			return err
		}
		sql += " " + o[0] + value
	}
	if err := j.exec(ctx, sql); err != nil {
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "42501" {
			return ship.Errorf(ship.Unreachable, "ALTER ROLE "+quote(owner)+" CREATEDB", "create database %s: %w", j.fresh, err)
		}
		return fmt.Errorf("create database %s: %w", j.fresh, err)
	}
	return nil
}

// settings gives the fresh database what pg_dump leaves out, since it belongs
// to the database and not to what is in it: settings, rights, comment.
func (j *restoration) settings(ctx context.Context) error {
	var statements []string
	for _, list := range []func(context.Context) ([]string, error){j.parameters, j.rights, j.comment} {
		more, err := list(ctx)
		if err != nil {
			return err
		}
		statements = append(statements, more...)
	}
	for _, s := range statements {
		if err := j.exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// parameters returns ALTER … SET for the parameters of the database, and of
// roles in it.
func (j *restoration) parameters(ctx context.Context) ([]string, error) {
	rows, err := j.admin.Query(ctx, `SELECT coalesce(pg_get_userbyid(nullif(setrole, 0)), ''), unnest(setconfig)
		FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = $1)`, j.live)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var role, pair string
		if err := row.Scan(&role, &pair); err != nil {
			return "", err
		}
		name, value, _ := strings.Cut(pair, "=")
		if !slices.Contains(listParameters, strings.ToLower(name)) {
			quoted, err := literal(value)
			if err != nil {
				return "", err
			}
			value = quoted
		} else if value == "" {
			value = "''"
		}
		target := "DATABASE " + quote(j.fresh)
		if role != "" {
			target = "ROLE " + quote(role) + " IN " + target
		}
		return fmt.Sprintf("ALTER %s SET %s TO %s", target, pgx.Identifier(strings.Split(name, ".")).Sanitize(), value), nil
	})
}

// listParameters are stored as lists whose elements the server has quoted already.
var listParameters = []string{"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries", "shared_preload_libraries", "unix_socket_directories"}

// rights returns the statements that grant what was granted on the database.
func (j *restoration) rights(ctx context.Context) ([]string, error) {
	rows, err := j.admin.Query(ctx, `SELECT coalesce(pg_get_userbyid(nullif(x.grantee, 0)), ''), x.privilege_type, x.is_grantable
		FROM pg_database d, LATERAL aclexplode(d.datacl) x WHERE datname = $1`, j.live)
	if err != nil {
		return nil, err
	}
	grants, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var role, right string
		var grantable bool
		err := row.Scan(&role, &right, &grantable)
		who := "PUBLIC"
		if role != "" {
			who = quote(role)
		}
		sql := fmt.Sprintf("GRANT %s ON DATABASE %s TO %s", right, quote(j.fresh), who)
		if grantable {
			sql += " WITH GRANT OPTION"
		}
		return sql, err
	})
	if err != nil || len(grants) == 0 { // no list: the defaults, which the fresh one has too
		return nil, err
	}
	return append([]string{fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC", quote(j.fresh))}, grants...), nil
}

func (j *restoration) comment(ctx context.Context) ([]string, error) {
	var text string
	err := j.admin.QueryRow(ctx, "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = $1", j.live).Scan(&text)
	if err != nil || text == "" {
		return nil, err
	}
	value, err := literal(text)
	return []string{fmt.Sprintf("COMMENT ON DATABASE %s IS %s", quote(j.fresh), value)}, err
}
