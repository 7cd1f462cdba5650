package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// AddRelease records a release and numbers it. The release of an artifact the
// app has already is returned as it was first recorded.
func (s *Store) AddRelease(ctx context.Context, r ship.Release) (ship.Release, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		found, err := scanRelease(tx.QueryRowContext(ctx, selectRelease+` WHERE app = ? AND digest = ?`, r.App, r.Artifact.Digest))
		if err == nil {
			r = found
			return nil
		}
		if ship.KindOf(err) != ship.NotFound {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) + 1 FROM releases WHERE app = ?`, r.App).Scan(&r.Number); err != nil {
			return err
		}
		r.CreatedAt = time.Now().UTC()
		_, err = tx.ExecContext(ctx, `INSERT INTO releases (app, number, digest, artifact, migrations, created_at, created_by) VALUES (?,?,?,?,?,?,?)`,
			r.App, r.Number, r.Artifact.Digest, encode(r.Artifact), encode(r.Migrations), formatTime(r.CreatedAt), r.CreatedBy)
		return err
	})
	if err != nil {
		return ship.Release{}, fmt.Errorf("record release: %w", err)
	}
	return r, nil
}

const selectRelease = `SELECT app, number, artifact, migrations, created_at, created_by FROM releases`

// Release returns an app's release by its number.
func (s *Store) Release(ctx context.Context, app string, number int) (ship.Release, error) {
	r, err := scanRelease(s.db.QueryRowContext(ctx, selectRelease+` WHERE app = ? AND number = ?`, app, number))
	if ship.KindOf(err) == ship.NotFound {
		return r, ship.Errorf(ship.NotFound, "shiplock releases", "%s has no release v%d", app, number)
	}
	return r, err
}

// ReleaseByDigest returns an app's release by its artifact's digest.
func (s *Store) ReleaseByDigest(ctx context.Context, app, digest string) (ship.Release, error) {
	r, err := scanRelease(s.db.QueryRowContext(ctx, selectRelease+` WHERE app = ? AND digest = ?`, app, digest))
	if ship.KindOf(err) == ship.NotFound {
		return r, ship.Errorf(ship.NotFound, "shiplock releases", "%s has no release of %s", app, digest)
	}
	return r, err
}

// Releases returns an app's releases, newest first.
func (s *Store) Releases(ctx context.Context, app string) ([]ship.Release, error) {
	rows, err := s.db.QueryContext(ctx, selectRelease+` WHERE app = ? ORDER BY number DESC`, app)
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	defer rows.Close()
	var all []ship.Release
	for rows.Next() {
		r, err := scanRelease(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

type scanner interface{ Scan(dest ...any) error }

func scanRelease(row scanner) (ship.Release, error) {
	var r ship.Release
	var artifact, migrations, at string
	err := row.Scan(&r.App, &r.Number, &artifact, &migrations, &at, &r.CreatedBy)
	if errors.Is(err, sql.ErrNoRows) {
		return r, ship.Errorf(ship.NotFound, "shiplock releases", "no such release")
	}
	if err != nil {
		return r, fmt.Errorf("read release: %w", err)
	}
	r.CreatedAt = parseTime(at)
	return r, errors.Join(decode(artifact, &r.Artifact), decode(migrations, &r.Migrations))
}

// encode returns v as JSON. What is stored are our own nouns, which always can
// be encoded.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(b)
}

func decode(s string, v any) error {
	if s == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(s), v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
