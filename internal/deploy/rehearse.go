package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/rehearse"
	"github.com/shiplock/shiplock/internal/ship"
)

// Rehearse has a gate of kind rehearsal judge a release's pending migrations
// by a copy of an environment's database. It changes nothing that serves and
// takes no claim.
func (e *Engine) Rehearse(ctx context.Context, req ship.Request, p ship.Plugin, progress func(string)) (ship.Verdict, error) {
	w, err := e.open(ship.Run{ID: "rehearsal", Request: req})
	if err != nil {
		return ship.Verdict{}, err
	}
	defer w.close()
	g, err := e.Plugins.Gate(p, w.resolver)
	if err != nil {
		return ship.Verdict{}, err
	}
	w.detached = true
	if err := w.upload(ctx); err != nil {
		return ship.Verdict{}, err
	}
	prepared, err := w.platform.Prepare(ctx, w.spec)
	if err != nil {
		return ship.Verdict{}, err
	}
	progress(prepared.Took)
	w.prepared = &prepared
	v, err := g.Judge(ctx, gate.Candidate{Name: w.env().Name, Release: req.Release, Dir: w.folder(), Rehearse: w.rehearser()})
	if err != nil {
		return v, w.mask.Error(err)
	}
	return v, w.keepRehearsal(v)
}

// rehearsalFile is where the last rehearsal of the release here is kept.
func (w *work) rehearsalFile() string {
	digest := strings.NewReplacer(":", "-", "/", "-").Replace(w.run.Request.Release.Artifact.Digest)
	return filepath.Join(w.e.Dir, "rehearsals", w.env().App, w.env().Name, digest+".json")
}

// keepRehearsal makes a verdict be shown by later plans.
func (w *work) keepRehearsal(v ship.Verdict) error {
	if v.Rehearsal == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := w.rehearsalFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep rehearsal: %w", err)
	}
	if err := atomicfile.Write(path, text, 0o600); err != nil {
		return fmt.Errorf("keep rehearsal: %w", err)
	}
	return nil
}

// rehearsed returns the last rehearsal of the release, nil when there is none
// or the database is not any more what it was then.
func (w *work) rehearsed(ctx context.Context) *ship.Verdict {
	if w.tool == nil {
		return nil
	}
	text, err := os.ReadFile(w.rehearsalFile())
	if err != nil {
		return nil
	}
	var v ship.Verdict
	if json.Unmarshal(text, &v) != nil || v.Rehearsal == nil {
		return nil
	}
	if now, err := w.state(ctx); err != nil || now != v.Rehearsal.State {
		return nil
	}
	return &v
}

// rehearser returns what rehearses for a gate, nil without migrations.
func (w *work) rehearser() func(context.Context, gate.Rehearsing) (ship.Rehearsal, error) {
	if w.tool == nil {
		return nil
	}
	return func(ctx context.Context, how gate.Rehearsing) (ship.Rehearsal, error) {
		l, err := w.list(ctx, nil)
		if err != nil {
			return ship.Rehearsal{}, fmt.Errorf("list migrations: %w", err)
		}
		if problems := append(slices.Clone(l.Problems), l.Dirty); strings.Join(problems, "") != "" {
			return ship.Rehearsal{}, ship.Errorf(ship.MigrationFailed, "shiplock migrate status "+w.env().Name, "there is nothing to rehearse before this is mended: %s", strings.Trim(strings.Join(problems, "; "), "; "))
		}
		var pending []ship.Migration
		for _, m := range l.Migrations {
			// A contract that waits is not carried out by this run.
			waits := slices.ContainsFunc(w.run.Plan.Waiting, func(x ship.Waiting) bool { return x.Migration.ID == m.ID })
			if !m.Applied && !waits {
				pending = append(pending, m)
			}
		}
		state, err := w.state(ctx)
		if err != nil {
			return ship.Rehearsal{}, err
		}
		out := ship.Rehearsal{Migrations: []ship.Rehearsed{}}
		if len(pending) > 0 {
			applied := slices.DeleteFunc(l.Migrations, func(m ship.Migration) bool { return !m.Applied })
			if out, err = w.rehearse(ctx, pending, applied, how); err != nil {
				return out, err
			}
		}
		out.Release, out.Database, out.State = w.run.Request.Release.Artifact.Digest, w.db.Name(), state
		return w.masked(out)
	}
}

func (w *work) rehearse(ctx context.Context, pending, applied []ship.Migration, how gate.Rehearsing) (out ship.Rehearsal, err error) {
	if name := elsewhere(w.resolver, w.spec.Vars, w.run.Request.Environment); name != "" {
		return out, ship.Errorf(ship.Invalid, "have the release read DATABASE_URL alone",
			"the variable %s leads to the real database too: a tool could migrate that instead of the copy", name)
	}
	shadow, origin, err := w.shadow(ctx, how)
	if err != nil {
		return out, err
	}
	defer func() {
		if dropped := shadow.Drop(context.WithoutCancel(ctx)); dropped != nil {
			w.e.Log.Warn("drop the copy", "run", w.run.ID, "error", w.mask.String(dropped.Error()))
		}
	}()
	tree, closeTree, err := w.tree()
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, closeTree()) }()
	c := rehearse.Config{
		Shadow: shadow, Tool: w.tool, Pending: pending, Downgrade: how.Downgrade, Rows: how.Rows, Run: w.run.ID, Progress: w.progress(ctx),
		Project: func(s database.Shadow, lock database.Lock, f ship.Fence) migrate.Project {
			return w.shadowProject(tree, s, lock, f)
		},
	}
	if origin != "" {
		c.Applied = applied
		if c.Original, err = w.db.Catalog(ctx); err != nil {
			return out, fmt.Errorf("describe %s: %w", w.db.Name(), err)
		}
	}
	if how.Smoke {
		if c.Smoke, err = w.smoker(ctx); err != nil {
			return out, err
		}
	}
	out, err = rehearse.Run(ctx, c)
	out.Origin = origin
	if how.Smoke && c.Smoke == nil {
		out.Notes = append(out.Notes, "no release serves that could be started against the copy")
	}
	return out, err
}

// state names the schema and what is applied: a rehearsal is of one state.
func (w *work) state(ctx context.Context) (string, error) {
	catalog, err := w.db.Catalog(ctx)
	if err != nil {
		return "", fmt.Errorf("read the schema: %w", err)
	}
	ledger, err := w.db.Ledger(ctx)
	if err != nil {
		return "", err
	}
	applied := []string{}
	for _, r := range ledger {
		applied = append(applied, r.Migration+" "+string(r.Status))
	}
	text, err := json.Marshal([]any{catalog, applied})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// masked hides secrets in what statements and messages said.
func (w *work) masked(r ship.Rehearsal) (ship.Rehearsal, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	var out ship.Rehearsal
	return out, json.Unmarshal([]byte(w.mask.String(string(text))), &out)
}
