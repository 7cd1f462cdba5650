package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

const backupKind = "pg_dump"

// Backup writes an encrypted archive of pg_dump to w. It holds no lock that
// stops readers or writers, but changes of the schema wait for it.
func (d *DB) Backup(ctx context.Context, w io.Writer, progress func(int64)) (database.BackupInfo, error) {
	none := database.BackupInfo{}
	bin, err := d.bin(ctx)
	if err != nil {
		return none, err
	}
	items, err := d.tables(ctx)
	if err != nil {
		return none, err
	}
	out, err := database.NewCopyWriter(w, d.key, progress)
	if err != nil {
		return none, err
	}
	dump := d.command(ctx, filepath.Join(bin, "pg_dump"), d.conn.Database,
		"--format=custom", "--no-password", fmt.Sprintf("--lock-wait-timeout=%d", d.lockTimeout.Milliseconds()))
	dump.Stdout = out
	if err := dump.explain(dump.Run()); err != nil {
		return none, ship.Errorf(ship.Failed, "", "back up %s: %w", d.Name(), errors.Join(ctx.Err(), err))
	}
	if err := out.Close(); err != nil {
		return none, fmt.Errorf("back up %s: %w", d.Name(), err)
	}
	return out.Info(backupKind, items), nil
}

// tables counts what pg_dump will list as a table, ours included.
func (d *DB) tables(ctx context.Context) (n int, err error) {
	err = d.read(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
			AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%' AND `+notOf("pg_class", "c.oid")).Scan(&n)
	})
	return n, err
}

// Verify decrypts a copy to its end and has pg_restore list it, and turn every
// row of it into SQL that is thrown away.
func (d *DB) Verify(ctx context.Context, r io.Reader) (database.BackupInfo, error) {
	none := database.BackupInfo{}
	bin, err := d.bin(ctx)
	if err != nil {
		return none, err
	}
	plain, err := database.NewCopyReader(r, d.key)
	if err != nil {
		return none, unusable(err)
	}
	var contents listing
	list := d.command(ctx, filepath.Join(bin, "pg_restore"), "", "--list")
	list.Stdout = &contents
	script := d.command(ctx, filepath.Join(bin, "pg_restore"), "", "--file=/dev/null")
	if err := feed(plain, list, script); err != nil {
		return none, unusable(err)
	}
	if contents.entries == 0 {
		return none, unusable(errors.New("pg_restore lists nothing in it"))
	}
	return plain.Info(backupKind, contents.tables), nil
}

func unusable(err error) error {
	return ship.Errorf(ship.Failed, "make a new backup, and check the key of the encryption", "the copy cannot be restored from: %w", err)
}

// feed runs tools with the same input and reads it to its end, whatever they
// need of it. The input's own error comes first: theirs are only its consequence.
func feed(input io.Reader, tools ...*tool) error {
	var pipes []io.Writer
	var closers []io.Closer
	var started []*tool
	var failed error
	for _, t := range tools {
		pipe, err := t.StdinPipe()
		if err == nil {
			err = t.Start()
		}
		if err != nil {
			failed = err
			break
		}
		pipes, closers, started = append(pipes, &lenient{w: pipe}), append(closers, pipe), append(started, t)
	}
	if failed == nil {
		_, failed = io.Copy(io.MultiWriter(pipes...), input)
	}
	for i, t := range started {
		if failed != nil {
			_ = t.Process.Kill() // it must not take a cut input for a whole one
		}
		_ = closers[i].Close()
		if err := t.explain(t.Wait()); failed == nil {
			failed = err
		}
	}
	return failed
}

// lenient is a writer to a program that may stop reading before the end.
type lenient struct {
	w   io.Writer
	end bool
}

func (l *lenient) Write(p []byte) (int, error) {
	if !l.end {
		_, err := l.w.Write(p)
		l.end = err != nil
	}
	return len(p), nil
}

// A listing counts what pg_restore --list prints, without keeping it.
type listing struct {
	line            []byte
	entries, tables int
}

const maxLine = 1 << 20

func (l *listing) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			if l.line = append(l.line, rest...); len(l.line) > maxLine {
				return 0, errors.New("pg_restore printed a line without end")
			}
			break
		}
		l.count(string(append(l.line, rest[:end]...)))
		l.line, rest = l.line[:0], rest[end+1:]
	}
	return len(p), nil
}

// count reads a line such as "215; 1259 16386 TABLE public product app". The
// head tells the number of entries, some of which are not listed.
func (l *listing) count(line string) {
	if head, ok := strings.CutPrefix(line, ";     TOC Entries: "); ok {
		_, _ = fmt.Sscan(head, &l.entries)
		return
	}
	fields := strings.Fields(line)
	if len(fields) > 4 && fields[3] == "TABLE" && fields[4] != "DATA" && fields[4] != "ATTACH" {
		l.tables++
	}
}
