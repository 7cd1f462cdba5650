package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/seal"
	"github.com/shiplock/shiplock/internal/ship"
)

// work is one run being carried out.
type work struct {
	e        *Engine
	run      ship.Run
	fence    ship.Fence
	platform platform.Platform
	direct   platform.Platform // the same, never waited for
	resolver Resolver
	spec     platform.Spec
	mask     *mask.Masker
	db       database.Database // nil without one
	tool     migrate.Tool      // nil without one

	journal []ship.Entry
	seq     int
	current ship.Step
	newPlan *ship.Plan     // set by Inspect, frozen with its end
	waits   queue          // for the migration lock
	known   *lint.Snapshot // by which migrations were judged last; nil is nothing
	// retrying is told what a statement waits for before it is tried again; nil
	// outside a migration.
	retrying func(what string)

	// Outside a run there is no journal: these stand in for it.
	detached bool               // nothing is recorded
	prepared *platform.Prepared // where the release is
	local    migrate.Runner     // runs commands, where there is no platform
	files    fs.FS              // of the release, likewise
}

// open opens what the run's settings name and resolves its references.
func (e *Engine) open(run ship.Run) (*work, error) {
	env := run.Request.Environment
	run.Request.Run = run.ID
	w := &work{e: e, run: run, mask: mask.New()}
	var err error
	if w.resolver, err = e.Resolver(env); err != nil {
		return nil, err
	}
	if w.platform, err = e.Plugins.Platform(env.Platform); err != nil {
		return nil, err
	}
	w.direct = w.platform
	w.spec = platform.Spec{Environment: env, Release: run.Request.Release}
	if w.spec.Vars, err = Variables(env, w.resolver); err != nil {
		return nil, err
	}
	w.mask = mask.New(secretsOf(env, w.spec.Vars)...)
	if env.Database == nil {
		return w, nil
	}
	url, err := w.resolver.Resolve(env.Database.Direct())
	if err != nil {
		return nil, err
	}
	w.mask = mask.New(append(secretsOf(env, w.spec.Vars), url)...)
	if err := w.openDatabase(url); err != nil {
		return nil, w.mask.Error(err)
	}
	return w, nil
}

// expectDatabase has a database that this environment was deployed with before
// not be made anew when it is gone.
func (w *work) expectDatabase(ctx context.Context) error {
	c, ok := w.db.(database.Creator)
	if !ok {
		return nil
	}
	deployed, err := w.e.Journal.DeployedIn(ctx, w.env())
	if err != nil || len(deployed) == 0 {
		return err
	}
	if before := deployed[0].Settings.Database; before != nil && before.Direct() == w.run.Request.Environment.Database.Direct() {
		c.NeverCreate()
	}
	return nil
}

func (w *work) openDatabase(url ship.Secret) error {
	env := w.run.Request.Environment
	cfg := database.Config{URL: url, Key: w.e.Key, Waiting: func(what string) { w.waits.say(what) }}
	if own := env.Database.Backup.Key; own != "" {
		text, err := w.resolver.Resolve(own)
		if err != nil {
			return fmt.Errorf("key of the backups: %w", err)
		}
		if cfg.Key, err = seal.ParseKey(text); err != nil {
			return fmt.Errorf("key of the backups: %w", err)
		}
	}
	if env.Migrate != nil {
		cfg.LockTimeout, cfg.LockRetry = env.Migrate.LockTimeout, env.Migrate.LockRetry
		cfg.Retrying = func(what string) {
			if w.retrying != nil {
				w.retrying(what)
			}
		}
	}
	var err error
	if w.db, err = w.e.Plugins.Database(env.Database.Kind, cfg); err != nil {
		return err
	}
	if env.Migrate == nil {
		return nil
	}
	w.tool, err = w.e.Plugins.Tool(env.Migrate.Tool)
	return err
}

func (w *work) close() {
	if w.db != nil {
		if err := w.db.Close(); err != nil {
			w.e.Log.Warn("close database", "run", w.run.ID, "error", w.mask.String(err.Error()))
		}
	}
}

func (w *work) env() ship.EnvironmentID { return w.run.Request.Environment.ID }

// claim takes the environment for the run, with an epoch that the platform and
// the target database both accept.
func (w *work) claim(ctx context.Context) error {
	c := ship.Claim{Run: w.run.ID, Holder: w.e.Holder, Reason: fmt.Sprintf("%s v%d", w.run.Request.Verb, w.run.Request.Release.Number), TTL: w.e.TTL}
	if w.run.Epoch == 0 && w.db != nil {
		// A database that cannot be reached is preflight's to explain.
		if seen, err := w.db.Epoch(ctx); err == nil {
			c.Atleast = seen + 1
		}
	}
	f, err := w.platform.Acquire(ctx, w.env(), c)
	if ship.KindOf(err) == ship.Locked && w.run.Epoch != 0 {
		return ship.Errorf(ship.Fenced, ship.HintOf(err), "claim %s again: %w", w.env(), err)
	}
	if err != nil {
		return fmt.Errorf("claim %s: %w", w.env(), err)
	}
	if w.run.Epoch != 0 && f.Epoch != w.run.Epoch {
		if err := w.mayContinue(ctx, f); err != nil {
			return err
		}
	}
	w.fence, w.run.Epoch = f, f.Epoch
	if w.detached {
		return nil
	}
	return w.e.Journal.SetEpoch(ctx, w.run.ID, f.Epoch)
}

// mayContinue decides whether a run whose claim had lapsed may go on under a
// new epoch: only if nobody else had the environment in between.
func (w *work) mayContinue(ctx context.Context, f ship.Fence) error {
	if f.Epoch == w.run.Epoch+1 {
		return nil
	}
	err := w.platform.Release(ctx, w.env(), f)
	return errors.Join(ship.Errorf(ship.Fenced, "shiplock status", "%s was taken over by another deployer while run %s was away (epoch %d, now %d)",
		w.env(), w.run.ID, w.run.Epoch, f.Epoch), err)
}

// keepClaim renews the claim until stop is called. The context it returns ends
// when the claim is lost.
func (w *work) keepClaim(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(w.e.TTL / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := w.direct.Renew(ctx, w.env(), w.fence, w.e.TTL)
			if ship.KindOf(err) == ship.Fenced {
				cancel(ship.Errorf(ship.Fenced, "shiplock status", "%w: %w", errLost, err))
				return
			}
			if err != nil {
				w.e.Log.Warn("renew claim", "run", w.run.ID, "error", err)
			}
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}

// entry returns what the journal has of a step, or nil.
func (w *work) entry(seq int) *ship.Entry {
	for i := range w.journal {
		if w.journal[i].Seq == seq {
			return &w.journal[i]
		}
	}
	return nil
}

// done tells whether the first step of a kind is done.
func (w *work) done(kind string) bool {
	for seq, s := range w.run.Plan.Steps {
		if s.Kind != kind {
			continue
		}
		e := w.entry(seq)
		return e != nil && e.State == ship.StepDone
	}
	return false
}

// evidence reads what the first step of a kind found, and tells whether it
// found anything.
func (w *work) evidence(kind string, v any) bool {
	for seq, s := range w.run.Plan.Steps {
		if e := w.entry(seq); s.Kind == kind && e != nil && len(e.Evidence) > 0 {
			return json.Unmarshal(e.Evidence, v) == nil
		}
	}
	return false
}

func (w *work) params(v any) error {
	if err := json.Unmarshal(w.current.Params, v); err != nil {
		return fmt.Errorf("parameters of step %s: %w", w.current.Name, err)
	}
	return nil
}

// event records an event with every secret masked. A run does not fail because
// an event could not be written; the journal is what counts.
func (w *work) event(ctx context.Context, kind, text string, data any) {
	if w.detached {
		w.e.Log.InfoContext(ctx, "progress", "type", kind, "text", w.mask.String(text))
		return
	}
	ev := ship.Event{Run: w.run.ID, Type: kind, Step: w.current.Name, Text: w.mask.String(text)}
	if data != nil {
		if b, err := json.Marshal(data); err == nil {
			ev.Data = json.RawMessage(w.mask.String(string(b)))
		}
	}
	if err := w.e.Journal.AddEvent(ctx, ev); err != nil {
		w.e.Log.Warn("record event", "run", w.run.ID, "error", err)
	}
}

func (w *work) progress(ctx context.Context) func(string) {
	return func(text string) { w.event(ctx, ship.EventProgress, text, nil) }
}

// folder returns where the release was prepared.
func (w *work) folder() string {
	var p platform.Prepared
	if w.prepared != nil {
		p = *w.prepared
	} else {
		w.evidence(plan.Prepare, &p)
	}
	return p.Dir
}

// note saves what the current step found on its way.
func (w *work) note(ctx context.Context, evidence any) error {
	if w.detached {
		return nil
	}
	return w.e.Journal.Note(ctx, w.run.ID, w.seq, evidence)
}

// candidate returns the slot the release starts in: the one a start step chose
// before, or the idle one.
func (w *work) candidate(ctx context.Context) (ship.Slot, error) {
	var s startEvidence
	if w.evidence(plan.Start, &s) {
		return s.Slot, nil
	}
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return "", err
	}
	return obs.Active.Other(), nil
}
