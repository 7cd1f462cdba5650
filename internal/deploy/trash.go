package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// aside has what a migration drops copied aside: in the transaction of the
// migration where that is ours, else right before its tool begins. It returns
// the project to migrate with.
func (m *migration) aside(ctx context.Context, mig ship.Migration) (migrate.Project, error) {
	p := m.project
	drops := m.w.drops(ctx, mig)
	keeper, ok := m.lock.(database.Undropper)
	if len(drops) == 0 || !ok {
		return p, nil
	}
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.Timeout, fmt.Errorf("it took longer than %s", p.Timeout))
		defer cancel()
	}
	for _, d := range drops {
		for pages := 1; ; pages++ {
			more, err := keeper.CopyAside(ctx, d)
			if err != nil {
				return p, notAside(ctx, mig, err)
			}
			if !more {
				break
			}
			if pages%10 == 1 {
				m.w.progress(ctx)(fmt.Sprintf("copying %s aside", dropName(d)))
			}
		}
	}
	if s, ok := p.Session.(session); ok && mig.Atomic && records(m.w.tool) {
		s.aside = drops
		p.Session = s
		return p, nil
	}
	if err := m.lock.Do(ctx, ship.Work{Atomic: true, Aside: drops}); err != nil {
		return p, notAside(ctx, mig, err)
	}
	return p, nil
}

// notAside says why nothing of the migration was begun.
func notAside(ctx context.Context, mig ship.Migration, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ship.Errorf(ship.MigrationFailed, "raise migrations.timeout, or say in migrations.trash.off why nothing needs to be kept",
			"copy what %s drops aside: %w; nothing was dropped", mig.ID, cause)
	}
	return fmt.Errorf("copy what %s drops aside: %w", mig.ID, err)
}

func dropName(d ship.Drop) string {
	if d.Column == "" {
		return d.Table
	}
	return d.Table + "." + d.Column
}

// checkDrops refuses a plan that drops what could not be brought back, and
// says of the others until when they can be.
func (w *work) checkDrops(ctx context.Context, p ship.Plan) (ship.Plan, error) {
	db, ok := w.db.(database.Trasher)
	if !ok || p.Refused != nil || w.run.Request.Options.Down != "" {
		return p, nil
	}
	for _, mig := range p.Migrations {
		for _, d := range w.drops(ctx, mig) {
			err := db.CheckDrop(ctx, d)
			if ship.KindOf(err) == ship.Refused {
				p.Refused = &ship.Refusal{Kind: ship.Refused, Reason: err.Error(), Hint: ship.HintOf(err)}
				return p, nil
			}
			if err != nil {
				return p, fmt.Errorf("look at what %s drops: %w", mig.ID, err)
			}
			note := fmt.Sprintf("%s drops %s; it is copied aside first, and until %s can be brought back: shiplock migrate undrop %s",
				mig.ID, dropName(d), d.Until.Format(time.DateOnly), w.env().Name)
			p.Notes = append(p.Notes, note)
		}
		if off := w.run.Request.Environment.Migrate.Trash.Off; off != "" {
			if _, found := w.dropsOf(mig); len(found) == 0 {
				continue
			}
			p.Notes = append(p.Notes, "what "+mig.ID+" drops is not kept: "+off)
		}
	}
	return p, nil
}

// purgeTrash deletes what was kept long enough. It is not worth a failure.
func (w *work) purgeTrash(ctx context.Context) {
	db, ok := w.db.(database.Trasher)
	if !ok || w.detached {
		return
	}
	all, err := db.Trash(ctx)
	var ids []int64
	for _, t := range all {
		if expired(t) {
			ids = append(ids, t.ID)
		}
	}
	if err == nil && len(ids) > 0 {
		err = w.purge(ctx, ids)
	}
	if err != nil {
		w.e.Log.Warn("purge the trash", "run", w.run.ID, "error", w.mask.String(err.Error()))
	}
}

func expired(t database.Trashed) bool {
	return (t.Status == database.TrashDropped || t.Status == database.TrashCopied) && time.Now().After(t.Until)
}

func (w *work) purge(ctx context.Context, ids []int64) error {
	lock, err := w.db.Lock(ctx, w.fence, w.e.Holder+" run "+w.run.ID)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }()
	keeper, ok := lock.(database.Undropper)
	if !ok {
		return nil
	}
	return keeper.Purge(ctx, ids)
}

// Trash lists what is kept of what migrations dropped in an environment.
func (e *Engine) Trash(ctx context.Context, req ship.Request) ([]database.Trashed, error) {
	w, err := e.open(ship.Run{ID: "status", Request: req})
	if err != nil {
		return nil, err
	}
	defer w.close()
	db, err := w.trasher()
	if err != nil {
		return nil, err
	}
	all, err := db.Trash(ctx)
	return all, w.mask.Error(err)
}

func (w *work) trasher() (database.Trasher, error) {
	if w.db == nil {
		return nil, ship.Errorf(ship.Invalid, "shiplock config show", "%s has no database", w.env())
	}
	db, ok := w.db.(database.Trasher)
	if !ok {
		return nil, ship.Errorf(ship.Invalid, "", "a database of kind %s keeps nothing of what is dropped", w.run.Request.Environment.Database.Kind)
	}
	return db, nil
}

// Undrop brings back what was dropped: an entry by its number, a table, a
// column, or all that a migration dropped. It returns what is back.
func (e *Engine) Undrop(ctx context.Context, req ship.Request, what string) (back []database.Trashed, err error) {
	err = e.op(ctx, req, func(ctx context.Context, w *work) error {
		db, err := w.trasher()
		if err != nil {
			return err
		}
		lock, err := w.lock(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = lock.Release(context.WithoutCancel(ctx)) }()
		keeper, ok := lock.(database.Undropper)
		if !ok {
			return ship.Errorf(ship.Internal, "", "the migration lock cannot bring anything back")
		}
		back, err = w.undrop(ctx, db, keeper, what)
		return err
	})
	return back, err
}

func (w *work) undrop(ctx context.Context, db database.Trasher, keeper database.Undropper, what string) (back []database.Trashed, err error) {
	all, err := db.Trash(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(all, what, w.env().Name)
	if err != nil {
		return nil, err
	}
	ledger, err := w.db.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range chosen {
		out, err := keeper.Undrop(ctx, t.ID, w.run.Request.By, w.afterUndrop(all, ledger, t), w.progress(ctx))
		if err != nil {
			if len(back) > 0 {
				err = fmt.Errorf("%w; back are before it: %s", err, trashNames(back))
			}
			return back, err
		}
		back = append(back, out)
		for i := range all {
			if all[i].ID == out.ID {
				all[i] = out
			}
		}
	}
	return back, nil
}

// choose finds what is asked for, tables before columns.
func choose(all []database.Trashed, what, env string) ([]database.Trashed, error) {
	var chosen []database.Trashed
	var gone error
	for _, t := range slices.Backward(all) { // of two of a name the later
		named := fmt.Sprint(t.ID) == what || t.Migration == what || strings.EqualFold(t.Name(), what) || strings.EqualFold(strings.TrimPrefix(t.Name(), "public."), what)
		twice := slices.ContainsFunc(chosen, func(c database.Trashed) bool { return c.Name() == t.Name() })
		switch err := t.CanReturn(); {
		case named && !twice && err == nil:
			chosen = append(chosen, t)
		case named && gone == nil:
			gone = err
		}
	}
	if len(chosen) == 0 && gone != nil {
		return nil, gone
	}
	if len(chosen) == 0 {
		return nil, ship.Errorf(ship.NotFound, "shiplock migrate undrop "+env, "there is no %q in the trash that could be brought back", what)
	}
	slices.SortStableFunc(chosen, func(a, b database.Trashed) int { return strings.Compare(a.Column, b.Column) })
	return chosen, nil
}

// afterUndrop returns the record of the migration as it is when t is back: it
// is one that older releases can live with as soon as everything they lacked is
// there again. Nil when that is not so.
func (w *work) afterUndrop(all []database.Trashed, ledger []ship.Record, t database.Trashed) *ship.Record {
	have := map[string]bool{}
	for _, other := range all {
		if other.Migration != t.Migration {
			continue
		}
		if other.ID != t.ID && other.Status != database.TrashBack {
			return nil
		}
		for _, p := range other.Parts {
			have[bareName(p.Name)] = true
		}
	}
	if !t.Only || slices.ContainsFunc(t.Besides, func(name string) bool { return !have[bareName(name)] }) {
		return nil
	}
	at := slices.IndexFunc(ledger, func(r ship.Record) bool { return r.Migration == t.Migration && r.Status == ship.RecordDone })
	if at < 0 {
		return nil
	}
	rec := ledger[at]
	rec.Phase, rec.Epoch = ship.Expand, w.fence.Epoch
	return &rec
}

// bareName is a name without its schema, to compare.
func bareName(name string) string {
	return strings.ToLower(strings.Trim(name[strings.LastIndex(name, ".")+1:], `"`))
}

func trashNames(all []database.Trashed) string {
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.Name()
	}
	return listed(names)
}

// PurgeTrash deletes for good what was kept long enough, or what is named. It
// returns what was deleted.
func (e *Engine) PurgeTrash(ctx context.Context, req ship.Request, what string) (gone []database.Trashed, err error) {
	err = e.op(ctx, req, func(ctx context.Context, w *work) error {
		db, err := w.trasher()
		if err != nil {
			return err
		}
		all, err := db.Trash(ctx)
		if err != nil {
			return err
		}
		for _, t := range all {
			if what == "" && expired(t) {
				gone = append(gone, t)
			}
		}
		if what != "" {
			if gone, err = choose(all, what, w.env().Name); err != nil {
				return err
			}
		}
		ids := make([]int64, len(gone))
		for i, t := range gone {
			ids[i] = t.ID
		}
		if len(ids) == 0 {
			return nil
		}
		return w.purge(ctx, ids)
	})
	return gone, err
}
