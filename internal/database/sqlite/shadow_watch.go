package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// everything is what a writer locks: the file has one lock for writing.
const everything = "(the whole file)"

// A gauge measures each statement the lock runs. A nil one runs it only.
type gauge struct{ done []ship.Effect }

func (g *gauge) run(ctx context.Context, conn *sql.Conn, statement string) error {
	if g == nil {
		_, err := conn.ExecContext(ctx, statement)
		return err
	}
	before, err := look(ctx, conn)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, statement); err != nil {
		return err
	}
	took := time.Since(before.at)
	after, err := look(ctx, conn)
	if err != nil {
		return err
	}
	g.done = append(g.done, before.effect(after, statement, took))
	return nil
}

// A moment is the state a statement found: where each table begins in the file.
type moment struct {
	at      time.Time
	roots   map[string]int64
	changes int64
}

func look(ctx context.Context, conn *sql.Conn) (*moment, error) {
	m := &moment{roots: map[string]int64{}}
	if err := conn.QueryRowContext(ctx, "SELECT total_changes()").Scan(&m.changes); err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, "SELECT m.name, m.rootpage FROM sqlite_schema m WHERE m.type = 'table' AND "+own)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var page int64
		if err := rows.Scan(&name, &page); err != nil {
			return nil, err
		}
		m.roots[name] = page
	}
	m.at = time.Now()
	return m, rows.Err()
}

func (m *moment) effect(after *moment, statement string, took time.Duration) ship.Effect {
	e := ship.Effect{Statement: statement, TookMS: float64(took.Microseconds()) / 1000}
	for name, page := range m.roots {
		if now, there := after.roots[name]; there && now != page {
			e.Rewritten = append(e.Rewritten, name)
		}
	}
	slices.Sort(e.Rewritten)
	verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(statement)), " ")
	if n := after.changes - m.changes; n > 0 {
		e.Written = map[string]int64{everything: n}
	}
	if verb != "SELECT" && verb != "PRAGMA" {
		e.Locks = []ship.TableLock{{Table: everything, Mode: "WRITE"}}
	}
	return e
}

// A watching is a watch under way.
type watching struct {
	shadow *shadow
	begun  *moment
}

// Watch implements [database.Shadow].
func (s *shadow) Watch(ctx context.Context) (database.Watch, error) {
	w := &watching{shadow: s}
	err := s.read(ctx, func(conn *sql.Conn) (err error) {
		w.begun, err = look(ctx, conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.gauge = &gauge{}
	return w, nil
}

// Stop implements [database.Watch].
func (w *watching) Stop(ctx context.Context) ([]ship.Effect, error) {
	done := w.shadow.gauge.done
	w.shadow.gauge = nil
	if len(done) > 0 {
		return done, nil
	}
	var now *moment
	err := w.shadow.read(ctx, func(conn *sql.Conn) (err error) {
		now, err = look(ctx, conn)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("measure what was done: %w", err)
	}
	w.begun.changes = now.changes // of another connection
	e := w.begun.effect(now, "all of it", now.at.Sub(w.begun.at))
	e.Sampled = true
	return []ship.Effect{e}, nil
}
