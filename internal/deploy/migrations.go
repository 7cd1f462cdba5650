package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/lint/live"
	"github.com/shiplock/shiplock/internal/lint/rules"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// session shows a tool the target database: for reading always, for writing
// only under the migration lock.
type session struct {
	db      database.Database
	lock    database.Lock // nil outside the lock
	dialect string
	aside   []ship.Drop // copied within the transaction of the migration
}

func (s session) Rows(ctx context.Context, query string, args ...any) ([][]string, error) {
	if s.lock != nil {
		return s.lock.Rows(ctx, query, args...)
	}
	return s.db.Rows(ctx, query, args...)
}

func (s session) Do(ctx context.Context, w ship.Work) error {
	if s.lock == nil {
		return errors.New("the schema is changed under the migration lock only")
	}
	if w.Atomic && len(w.Statements) > 0 {
		w.Aside = s.aside
	}
	return s.lock.Do(ctx, w)
}

func (s session) Dialect() string        { return s.dialect }
func (s session) NoTable(err error) bool { return errors.Is(err, database.ErrNoTable) }

func (s session) Ledger(ctx context.Context) ([]ship.Record, error) { return s.db.Ledger(ctx) }

// runner runs a tool's commands with the migration role's URL and everything
// that lets the database recognise a connection of this run and epoch.
type runner struct {
	w           *work
	url         ship.Secret
	lockTimeout time.Duration
	tries       int // times a person had the migration begun anew
}

func (r runner) Run(ctx context.Context, c migrate.Command) (migrate.Result, error) {
	vars := map[string]string{"DATABASE_URL": r.url.Reveal()}
	maps.Copy(vars, r.w.db.ToolVars(r.w.fence, r.lockTimeout))
	maps.Copy(vars, c.Vars)
	if c.Name != "" && r.tries > 0 {
		c.Name = fmt.Sprintf("%s.again-%d", c.Name, r.tries)
	}
	c.Vars = vars
	return r.w.command(ctx, c)
}

// project is what the tool is handed. The returned function closes it.
func (w *work) project(lock database.Lock) (migrate.Project, func(), error) {
	env := w.run.Request.Environment
	tree, closeTree, err := w.tree()
	if err != nil {
		return migrate.Project{}, nil, err
	}
	url, err := w.resolver.Resolve(env.Database.Direct())
	if err != nil {
		return migrate.Project{}, nil, errors.Join(err, closeTree())
	}
	p := migrate.Project{
		Dir: w.folder(), Tree: tree, Fence: w.fence, Release: w.run.Request.Release.Artifact.Digest,
		Runner:  runner{w: w, url: url, lockTimeout: env.Migrate.LockTimeout},
		Session: session{db: w.db, lock: lock, dialect: env.Database.Kind},
		Timeout: env.Migrate.Timeout, Lock: env.Migrate.LockTimeout,
	}
	return p, func() { _ = closeTree() }, nil
}

// projectFor is the project for one migration. What is not in a transaction
// may build an index concurrently, which waits for other transactions however
// long they take: a lock time-out would leave an invalid index behind.
func (w *work) projectFor(p migrate.Project, m ship.Migration, tries int) migrate.Project {
	r, ok := p.Runner.(runner)
	if !ok {
		return p
	}
	if !m.Atomic {
		r.lockTimeout = 0
	}
	r.tries = tries
	p.Runner = r
	return p
}

// tree returns the release's files as they were packed or, where there is no
// artifact, as they are.
func (w *work) tree() (fs.FS, func() error, error) {
	if w.local != nil {
		return w.files, func() error { return nil }, nil
	}
	return w.e.Artifacts.Tree(w.run.Request.Release.Artifact.Digest)
}

// list asks the tool and classifies what is pending.
func (w *work) list(ctx context.Context, lock database.Lock) (*migrate.Listing, error) {
	p, closeProject, err := w.project(lock)
	if err != nil {
		return nil, err
	}
	defer closeProject()
	l, err := w.tool.List(ctx, p)
	if err != nil {
		return nil, err
	}
	linter, err := lint.New(rules.All())
	if err != nil {
		return nil, err
	}
	o, snapshot := w.lintOptions(ctx)
	w.known = snapshot
	o.Ahead = w.ahead(ctx, l.Migrations)
	l.Migrations = linter.ClassifyAll(l.Migrations, o)
	return &l, nil
}

// lintOptions say for which database migrations are judged: its server and its
// schema as it is now, which is returned, too. What it does not tell is not
// known: migrations are then judged for every version, by their text alone.
func (w *work) lintOptions(ctx context.Context) (lint.Options, *lint.Snapshot) {
	kind := w.run.Request.Environment.Database.Kind
	o := lint.Options{Dialect: sqltext.Dialect(kind)}
	if m := w.run.Request.Environment.Migrate; m != nil {
		for _, i := range m.Ignore {
			o.Ignore = append(o.Ignore, lint.Ignore{Rule: i.Rule, Files: i.File, Reason: i.Reason})
		}
	}
	snapshot, err := live.Read(ctx, w.db, kind)
	if err != nil {
		w.e.Log.WarnContext(ctx, "migrations are judged without the schema there is", "environment", w.env().String(), "error", w.mask.String(err.Error()))
		return o, nil
	}
	o.Schema, o.Live = snapshot.Schema(), true
	if o.Version, err = lint.ParseVersion(o.Dialect, snapshot.Server); err != nil {
		o.Version = 0
	}
	return o, snapshot
}

// ahead returns the applied migrations that neither the release that serves has
// nor one that was deployed with success, which somebody may go back to. Where
// that cannot be told there are none.
func (w *work) ahead(ctx context.Context, all []ship.Migration) map[string]bool {
	if w.detached {
		return nil
	}
	obs, err := w.platform.Observe(ctx, w.env())
	deployed, failed := w.e.Journal.DeployedIn(ctx, w.env())
	if err != nil || failed != nil || obs.Active == "" {
		return nil
	}
	numbers := []int{obs.Slots[obs.Active].Release.Number}
	for _, d := range deployed {
		if !slices.Contains(numbers, d.Release) {
			numbers = append(numbers, d.Release)
		}
	}
	used := map[string]bool{}
	for _, n := range numbers {
		r, err := w.e.Journal.Release(ctx, w.env().App, n)
		if err != nil && ship.KindOf(err) != ship.NotFound { // what was pruned cannot be gone back to
			return nil
		}
		for _, m := range r.Migrations {
			used[m.ID] = true
		}
	}
	ahead := map[string]bool{}
	for _, m := range all {
		if m.Applied && !used[m.ID] {
			ahead[m.ID] = true
		}
	}
	return ahead
}

// records tells whether the tool writes the ledger itself, in the transaction
// of the migration.
func records(t migrate.Tool) bool {
	r, ok := t.(migrate.Recorder)
	return ok && r.Records()
}

func (w *work) record(m ship.Migration, status ship.RecordStatus) ship.Record {
	return ship.Record{
		Migration: m.ID, Checksum: m.Checksum, Tool: w.run.Request.Environment.Migrate.Tool.Kind, Phase: m.Phase, Status: status,
		Release: w.run.Request.Release.Artifact.Digest, Run: w.run.ID, Epoch: w.fence.Epoch,
	}
}

// differences describes how the schema differs from what it was, a sentence
// each.
func differences(before, after *database.Catalog) []string {
	var out []string
	for _, d := range database.Diff(before, after) {
		switch {
		case d.Before == "":
			out = append(out, fmt.Sprintf("%s %s is there, and was not before", d.Kind, d.Name))
		case d.After == "":
			out = append(out, fmt.Sprintf("%s %s is gone", d.Kind, d.Name))
		default:
			out = append(out, fmt.Sprintf("%s %s is %s, and was %s", d.Kind, d.Name, d.After, d.Before))
		}
	}
	return out
}

// listed names migrations: all of a few, of many the first and the last.
func listed(ids []string) string {
	const few = 5
	if len(ids) <= few {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%d migrations, from %s to %s", len(ids), ids[0], ids[len(ids)-1])
}
