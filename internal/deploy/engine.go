// Package deploy carries plans out. It is the only place where steps run: each
// is recorded before it acts and after, and on resume the world is asked
// before anything is done again. It knows the seams and no adapter; what is
// decided, package plan decided.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Journal makes what a run did and learned durable. Every method has reached
// the disk when it returns.
type Journal interface {
	Run(ctx context.Context, id string) (ship.Run, error)
	SetStatus(ctx context.Context, id string, status ship.Status, result ship.Result) error
	SetEpoch(ctx context.Context, id string, epoch int64) error
	Journal(ctx context.Context, run string) ([]ship.Entry, error)
	Intend(ctx context.Context, run string, seq int, name string, state ship.StepState, epoch int64) error
	Settle(ctx context.Context, run string, seq int, state ship.StepState, evidence any, failure error, plan *ship.Plan) error
	Note(ctx context.Context, run string, seq int, evidence any) error
	AddEvent(ctx context.Context, e ship.Event) error
	TakeSignal(ctx context.Context, run, name string) (*ship.Signal, error)
	Changed() <-chan struct{}
	AddDeployed(ctx context.Context, run ship.Run) error
	DeployedIn(ctx context.Context, env ship.EnvironmentID) ([]ship.Deployed, error)
	Release(ctx context.Context, app string, number int) (ship.Release, error)
	ReleaseByDigest(ctx context.Context, app, digest string) (ship.Release, error)
}

// Artifacts are the packed trees of releases.
type Artifacts interface {
	Open(digest string) (File, error)
	// Tree returns the files of an artifact and a function that closes them.
	Tree(digest string) (fs.FS, func() error, error)
}

// A File is an artifact's zip.
type File interface {
	Read(p []byte) (int, error)
	Close() error
}

// A Resolver replaces references by what they stand for.
type Resolver interface {
	Resolve(v ship.Value) (ship.Secret, error)
}

// Plugins opens what the settings name.
type Plugins interface {
	Platform(p ship.Plugin) (platform.Platform, error)
	Database(kind string, cfg database.Config) (database.Database, error)
	Tool(p ship.Plugin) (migrate.Tool, error)
	Gate(p ship.Plugin, r Resolver) (gate.Gate, error)
	Notifier(p ship.Plugin, r Resolver) (notify.Notifier, error)
}

// Config is what an [Engine] is made of.
type Config struct {
	Journal   Journal
	Artifacts Artifacts
	Plugins   Plugins
	// Resolver returns the resolver of an environment's references.
	Resolver func(ship.Environment) (Resolver, error)
	Dir      string // for backups and what a run keeps besides its journal
	Key      []byte // backups are encrypted with it
	Holder   string // who we are, for those who have to wait: "shiplock 4711 on host"
	Log      *slog.Logger
	// TTL is how long the claim on an environment outlives a deployer that
	// does not renew it. Default 30 s.
	TTL time.Duration
}

// An Engine carries out runs.
type Engine struct{ Config }

// New returns an engine.
func New(c Config) (*Engine, error) {
	if c.Journal == nil || c.Artifacts == nil || c.Plugins == nil || c.Resolver == nil {
		return nil, errors.New("deploy: journal, artifacts, plug-ins and resolver are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.TTL <= 0 {
		c.TTL = 30 * time.Second
	}
	c.Journal = strict{c.Journal}
	return &Engine{c}, nil
}

// Why a step was interrupted.
var (
	errCancelled = errors.New("cancelled")
	errLost      = errors.New("the claim on the environment was lost")
)

// Carry carries a run out, from wherever its journal says it is, until it
// ended or waits for a person. When ctx ends it returns at once and leaves the
// run to be resumed by a later call.
func (e *Engine) Carry(ctx context.Context, id string) (ship.Result, error) {
	run, err := e.Journal.Run(ctx, id)
	if err != nil || run.Status.Ended() || run.Status == ship.Queued {
		return run.Result, err // one that waits is not ours yet
	}
	w, err := e.open(run)
	if err != nil {
		return e.failEarly(ctx, run, err)
	}
	defer w.close()
	if err := w.expectDatabase(ctx); err != nil {
		return run.Result, err
	}
	if err := w.claim(ctx); err != nil {
		switch {
		case ctx.Err() != nil:
			return run.Result, ctx.Err()
		case takenOver(ctx, err):
			return w.superseded(ctx, err)
		case unrecorded(err):
			return run.Result, err
		}
		return e.failEarly(ctx, run, err)
	}
	ctx, stop := w.keepClaim(ctx)
	defer stop()
	if run.Status != ship.Undoing {
		run.Status = ship.Running
		if err := e.Journal.SetStatus(ctx, id, ship.Running, run.Result); err != nil {
			return run.Result, err
		}
		w.run.Status = ship.Running
	}
	return w.carry(ctx)
}

// carry runs the steps that are left, or takes back those that have to be.
func (w *work) carry(ctx context.Context) (ship.Result, error) {
	var failure error
	if w.run.Status == ship.Undoing {
		failure = &ship.Error{Kind: w.run.Result.Kind, Hint: w.run.Result.Next, Err: errors.New(w.run.Result.Reason)}
	} else {
		failure = w.forward(ctx)
	}
	switch {
	case takenOver(ctx, failure):
		return w.superseded(ctx, failure)
	case interrupted(ctx):
		return w.run.Result, context.Cause(ctx)
	case failure == nil:
		return w.finish(ctx, nil)
	case unrecorded(failure):
		return w.run.Result, failure
	}
	if _, ok := errors.AsType[*pauseError](failure); ok {
		return w.pause(ctx, failure)
	}
	if err := w.back(ctx, failure); err != nil {
		switch {
		case takenOver(ctx, err):
			return w.superseded(ctx, err)
		case interrupted(ctx):
			return w.run.Result, context.Cause(ctx)
		case unrecorded(err):
			return w.run.Result, err
		}
		return w.pause(ctx, err)
	}
	return w.finish(ctx, failure)
}

// interrupted tells whether we were stopped rather than the run: then nothing
// more may be recorded, since somebody else will take it up.
func interrupted(ctx context.Context) bool { return ctx.Err() != nil }

// takenOver tells whether the run may change nothing any more, because another
// deployer has the environment.
func takenOver(ctx context.Context, failure error) bool {
	return errors.Is(context.Cause(ctx), errLost) || failure != nil && ship.KindOf(failure) == ship.Fenced
}

// forward carries out the steps in order, gates that may be asked at once
// together. Inspect may lengthen the plan while it runs.
func (w *work) forward(ctx context.Context) error {
	for {
		journal, err := w.e.Journal.Journal(ctx, w.run.ID)
		if err != nil {
			return err
		}
		w.journal = journal
		seq, entry := w.next()
		if seq < 0 {
			return nil
		}
		if group := w.together(seq); len(group) > 0 {
			err = w.gates(ctx, group)
		} else {
			err = w.step(ctx, seq, entry)
		}
		if err != nil {
			return err
		}
	}
}

// next returns the first step that is not done, and what the journal has of
// it; -1 when all are.
func (w *work) next() (int, *ship.Entry) {
	for seq := range w.run.Plan.Steps {
		entry := w.entry(seq)
		if entry == nil || entry.State != ship.StepDone {
			return seq, entry
		}
	}
	return -1, nil
}

// step carries out one step: intent, act, done.
func (w *work) step(ctx context.Context, seq int, before *ship.Entry) error {
	s := w.run.Plan.Steps[seq]
	impl, ok := steps[s.Kind]
	if !ok {
		return ship.Errorf(ship.Internal, "use the shiplock that planned it", "no step of kind %q", s.Kind)
	}
	w.seq, w.current = seq, s
	if before != nil && before.State == ship.StepFailed {
		return before.Failure()
	}
	if before != nil && before.State == ship.StepStarted && impl.observe != nil {
		done, err := w.observed(ctx, s, impl)
		if err != nil {
			return err
		}
		if done {
			return w.settle(ctx, "found done after a restart", nil)
		}
	}
	if err := w.cancelRequested(ctx); err != nil {
		return err
	}
	if err := w.intend(ctx, ship.StepStarted); err != nil {
		return err
	}
	w.event(ctx, ship.EventStarted, s.Reason, nil)
	stepCtx, stop := w.stepContext(ctx, s, impl)
	impatient := w.patiently()
	text, evidence, err := impl.do(stepCtx, w)
	impatient()
	err = causeOf(stepCtx, s, err)
	stop()
	if interrupted(ctx) {
		return context.Cause(ctx)
	}
	if err != nil && !unrecorded(err) {
		return w.stepFailed(ctx, err, evidence)
	}
	if err != nil {
		return err
	}
	return w.settle(ctx, text, evidence)
}

// observed asks, after a crash, whether a step is done.
func (w *work) observed(ctx context.Context, s ship.Step, impl stepKind) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	done := w.patiently()
	defer done()
	return impl.observe(ctx, w)
}

// causeOf replaces the bare "context canceled" of a step by what stopped it.
func causeOf(ctx context.Context, s ship.Step, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); errors.Is(cause, errCancelled) {
		return cause
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ship.Errorf(ship.KindOf(err), ship.HintOf(err), "%s did not end within %s: %w", s.Name, s.Timeout, err)
	}
	return err
}

func (w *work) settle(ctx context.Context, text string, evidence any) error {
	if err := w.conclude(ctx, ship.StepDone, evidence, nil); err != nil {
		return err
	}
	if w.newPlan != nil {
		w.run.Plan, w.newPlan = *w.newPlan, nil
		w.event(ctx, ship.EventPlan, "", w.run.Plan)
	}
	w.event(ctx, ship.EventDone, text, nil)
	return nil
}

func (w *work) stepFailed(ctx context.Context, err error, evidence any) error {
	if _, paused := errors.AsType[*pauseError](err); paused {
		if evidence != nil {
			return errors.Join(err, w.e.Journal.Note(ctx, w.run.ID, w.seq, evidence))
		}
		return err
	}
	safe := ship.Errorf(ship.KindOf(err), ship.HintOf(err), "%s", w.mask.String(err.Error()))
	w.newPlan = nil
	if jerr := w.conclude(ctx, ship.StepFailed, evidence, safe); jerr != nil {
		return jerr
	}
	w.event(ctx, ship.EventFailed, err.Error(), nil)
	return err
}

// stepContext bounds a step by its time-out and, unless the step looks after
// that itself, ends it when somebody cancels the run.
func (w *work) stepContext(ctx context.Context, s ship.Step, impl stepKind) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, cancelTime := context.WithTimeout(ctx, s.Timeout)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for !impl.uncancellable {
			changed := w.e.Journal.Changed()
			if err := w.cancelRequested(ctx); errors.Is(err, errCancelled) {
				cancel(err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}()
	return ctx, func() { cancelTime(); cancel(nil); <-watched }
}

// cancelRequested takes the signal that cancels the run, once.
func (w *work) cancelRequested(ctx context.Context) error {
	if w.done(plan.Shift) {
		return nil
	}
	sig, err := w.e.Journal.TakeSignal(ctx, w.run.ID, "cancel")
	if err != nil || sig == nil {
		return nil //nolint:nilerr // a signal that cannot be read now is read at the next look
	}
	return &ship.Error{Kind: ship.Interrupted, Hint: "shiplock status", Err: fmt.Errorf("%w by %s", errCancelled, sig.By)}
}

// Stateless returns an engine that can only [Engine.Enter]: it has no journal
// and no artifacts.
func Stateless(c Config) *Engine { return &Engine{c} }
