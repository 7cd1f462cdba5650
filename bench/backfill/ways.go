package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/backfill"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A way fills the column total.
type way struct {
	name string
	fill func(ctx context.Context, url string) error
}

func ways() []way {
	return []way{
		{"one UPDATE", func(ctx context.Context, url string) error {
			return script(ctx, url, "UPDATE orders SET total = price * 2 WHERE total IS NULL")
		}},
		{"batches of 1 000", func(ctx context.Context, url string) error { return batches(ctx, url, 1000) }},
		{"shiplock", func(ctx context.Context, url string) error { return batches(ctx, url, 0) }},
	}
}

// measureWay has the load alone for a while, and then beside the way.
func measureWay(ctx context.Context, o options, url string, w way) (m measured, err error) {
	m.Name = w.name
	if err := script(ctx, url, "DROP SCHEMA IF EXISTS _shiplock CASCADE", "DROP TABLE IF EXISTS orders",
		"CREATE TABLE orders (id bigint PRIMARY KEY, price integer NOT NULL, total integer, note text NOT NULL)",
		fmt.Sprintf("INSERT INTO orders SELECT i, i %% 1000, NULL, repeat('x', 80) FROM generate_series(1, %d) i", o.rows),
		"VACUUM ANALYZE orders", "CHECKPOINT"); err != nil {
		return m, err
	}
	if m.Before, err = during(ctx, o, url, func() error { return wait(ctx, o.before) }); err != nil {
		return m, err
	}
	m.During, err = during(ctx, o, url, func() error {
		begun := time.Now()
		defer func() { m.Seconds = time.Since(begun).Seconds() }()
		return w.fill(ctx, url)
	})
	if err != nil {
		return m, err
	}
	m.RowsPerSecond = float64(o.rows) / m.Seconds
	return m, complete(ctx, url)
}

// complete fails when a row is not done: a way that is quick because it leaves
// some is none.
func complete(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var left int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM orders WHERE total IS NULL").Scan(&left); err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d rows are not done", left)
	}
	return nil
}

// batches carries the product's backfill out, in batches of a fixed size
// unless that is 0.
func batches(ctx context.Context, url string, fixed int) (err error) {
	f, err := backfill.Parse("backfills/total.sql", "-- shiplock: backfill table=orders key=id\nUPDATE orders SET total = price * 2 WHERE total IS NULL AND :page;", sqltext.Postgres)
	if err != nil {
		return err
	}
	db, err := postgres.New(database.Config{URL: ship.NewSecret(url)}, plugin.Deps{})
	if err != nil {
		return err
	}
	fence := ship.Fence{Run: "bench", Epoch: 1}
	lock, err := db.Lock(ctx, fence, "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release(ctx)) }()
	filler, ok := lock.(database.Filler)
	if !ok {
		return errors.New("the lock fills nothing")
	}
	out, err := backfill.Run(ctx, f, backfill.Deps{
		DB: db, Lock: filler, Fence: fence, Fixed: fixed,
		Stop:   func(context.Context) (string, string, error) { return "", "", nil },
		Tell:   func(string, database.Progress) {},
		Record: func(f backfill.File) ship.Record { return ship.Record{Migration: f.Name, Checksum: f.Checksum} },
	})
	if err == nil && out.Status != database.FillDone {
		err = errors.New(out.Text)
	}
	return err
}

func script(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%.40s: %w", s, err)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
