package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// Drift is how a database differs from what its applied migrations make.
type Drift struct {
	Migrations  int // that were applied to an empty database to compare with
	Differences []Drifted
	Unknown     []string // applied, and not in the release: what they made is shown as extra
}

// Drifted is one object that is not as the migrations make it.
type Drifted struct {
	database.Difference        // from what it should be to what it is
	Why                 string // what is known of how it came about; "" is nothing
}

// Drift compares the database of an environment with what the migrations of a
// release that are applied there make of an empty one.
func (e *Engine) Drift(ctx context.Context, req ship.Request) (Drift, error) {
	w, err := e.open(ship.Run{ID: "drift", Request: req})
	if err != nil {
		return Drift{}, err
	}
	defer w.close()
	w.detached = true
	if w.tool == nil {
		return Drift{}, ship.Errorf(ship.Invalid, "shiplock config show", "%s has no migrations", w.env())
	}
	if err := w.upload(ctx); err != nil {
		return Drift{}, err
	}
	prepared, err := w.platform.Prepare(ctx, w.spec)
	if err != nil {
		return Drift{}, err
	}
	w.prepared = &prepared
	d, err := w.drift(ctx)
	return d, w.mask.Error(err)
}

func (w *work) drift(ctx context.Context) (out Drift, err error) {
	l, err := w.list(ctx, nil)
	if err != nil {
		return out, fmt.Errorf("list migrations: %w", err)
	}
	out.Unknown = l.Unknown
	var applied []ship.Migration
	for _, m := range l.Migrations {
		if m.Applied {
			applied = append(applied, m)
		}
	}
	out.Migrations = len(applied)
	should, err := w.made(ctx, applied)
	if err != nil {
		return out, err
	}
	is, err := w.db.Catalog(ctx)
	if err != nil {
		return out, fmt.Errorf("read the schema: %w", err)
	}
	why, err := w.undropped(ctx)
	if err != nil {
		return out, err
	}
	all := database.Diff(drifts(should), drifts(is))
	for _, d := range all {
		if partOfWhole(all, d) {
			continue
		}
		out.Differences = append(out.Differences, Drifted{Difference: d, Why: why(d)})
	}
	return out, nil
}

// partOfWhole tells whether a difference goes without saying, since the table it
// belongs to is missing or extra.
func partOfWhole(all []database.Difference, d database.Difference) bool {
	return d.Kind != "table" && slices.ContainsFunc(all, func(t database.Difference) bool {
		return t.Kind == "table" && (t.Before == "" && d.Before == "" || t.After == "" && d.After == "") && strings.HasPrefix(d.Name, t.Name+".")
	})
}

// drifts leaves out what migrations do not decide: rights, which are granted
// where a database is set up, and the order of columns.
func drifts(c *database.Catalog) *database.Catalog {
	return &database.Catalog{Objects: slices.DeleteFunc(slices.Clone(c.Objects), func(o database.Object) bool {
		return o.Kind == "grant" || o.Kind == "order" || o.Kind == "schema" && o.Name == "public"
	})}
}

// made returns the schema that migrations make of an empty database.
func (w *work) made(ctx context.Context, applied []ship.Migration) (c *database.Catalog, err error) {
	shadower, ok := w.db.(database.Shadower)
	if !ok {
		return nil, ship.Errorf(ship.Invalid, "", "a database of kind %s has no empty one beside it to compare with", w.run.Request.Environment.Database.Kind)
	}
	app, err := w.resolver.Resolve(w.run.Request.Environment.Database.URL)
	if err != nil {
		return nil, err
	}
	if name := elsewhere(w.resolver, w.spec.Vars, w.run.Request.Environment); name != "" {
		return nil, ship.Errorf(ship.Invalid, "have the release read DATABASE_URL alone",
			"the variable %s leads to the real database too: a tool could migrate that instead of the empty one", name)
	}
	shadow, err := shadower.Shadow(ctx, database.ShadowOptions{App: app, Empty: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, shadow.Drop(context.WithoutCancel(ctx))) }()
	tree, closeTree, err := w.tree()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeTree()) }()
	f := ship.Fence{Run: w.run.ID, Epoch: 1}
	lock, err := shadow.Lock(ctx, f, "drift")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release(context.WithoutCancel(ctx))) }()
	p := w.shadowProject(tree, shadow, lock, f)
	for i, m := range applied {
		w.progress(ctx)(fmt.Sprintf("%s (%d of %d) on an empty database", m.ID, i+1, len(applied)))
		m.Applied = false
		if err := upOnEmpty(ctx, w.tool, p, m); err != nil {
			return nil, err
		}
	}
	return shadow.Catalog(ctx)
}

func upOnEmpty(ctx context.Context, tool migrate.Tool, p migrate.Project, m ship.Migration) error {
	if err := tool.Up(ctx, p, m); err != nil {
		return ship.Errorf(ship.MigrationFailed, "make the migrations run on an empty database; a new developer needs that, too",
			"%s cannot be carried out on an empty database, so there is nothing to compare with: %w", m.ID, err)
	}
	return nil
}

// undropped returns what explains a difference by what was brought back from
// the trash, since no migration says so.
func (w *work) undropped(ctx context.Context) (func(database.Difference) string, error) {
	why := map[string]string{}
	db, ok := w.db.(database.Trasher)
	if !ok {
		return func(database.Difference) string { return "" }, nil
	}
	all, err := db.Trash(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.Status != database.TrashBack && t.Status != database.TrashReturning {
			continue
		}
		text := "brought back after " + t.Migration + " had dropped it"
		table := strings.ToLower(strings.TrimPrefix(t.Table, "public."))
		why[strings.ToLower(strings.TrimPrefix(t.Name(), "public."))] = text
		for _, p := range t.Parts {
			if p.Name != "" {
				why[table+"."+bareName(p.Name)], why[bareName(p.Name)] = text, text
			}
		}
		if why[table] == "" {
			why[table] = "its definition differs by what was brought back after " + t.Migration
		}
	}
	return func(d database.Difference) string {
		name := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(d.Name, `"`, ""), "public."))
		if text := why[name]; text != "" {
			return text
		}
		table, _, _ := strings.Cut(name, ".")
		if text := why[table]; strings.HasPrefix(text, "brought") && d.Kind != "table" {
			return text
		}
		return ""
	}, nil
}
