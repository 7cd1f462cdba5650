package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/mask"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

// undoTime bounds what has to be done although the caller's time is over.
const undoTime = 10 * time.Minute

// A pauseError stops a run until a person has looked: its facts are what is
// known, and nothing is guessed.
type pauseError struct {
	reason string
	facts  []string
	next   string
	held   bool // nothing is unknown: a person has to decide
}

func (p *pauseError) Error() string { return p.reason }

func (e *Engine) end(ctx context.Context, run ship.Run, r ship.Result) error {
	w := &work{e: e, run: run, mask: mask.New()}
	w.event(ctx, ship.EventFinal, r.Reason, r)
	return e.Journal.SetStatus(ctx, run.ID, r.Status, r)
}

// pause stops the run as it is. The environment stays the run's own.
func (w *work) pause(ctx context.Context, why error) (ship.Result, error) {
	r := w.result(ctx, why)
	r.Status, r.Schema = ship.Paused, ship.SchemaUnknown
	if r.Kind == ship.Internal || r.Kind == ship.Failed {
		r.Kind = ship.MigrationFailed
	}
	r.Next = "shiplock explain " + w.run.ID
	if p, ok := errors.AsType[*pauseError](why); ok {
		r.Reason, r.Notes = w.mask.String(p.reason), append(r.Notes, maskAll(w, p.facts)...)
		if p.next != "" {
			r.Next = p.next
		}
		if p.held {
			return w.hold(ctx, r)
		}
	}
	sum := sha256.Sum256([]byte(r.Reason))
	occasion := "paused " + hex.EncodeToString(sum[:4])
	note, rows := w.writtenSince(ctx)
	r.Notes = append(r.Notes, note...)
	r.Reason = "paused: unknown: " + r.Reason + rows
	r.Notes = append(r.Notes, w.tell(ctx, r, occasion)...)
	return r, w.e.end(ctx, w.run, r)
}

func maskAll(w *work, texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = w.mask.String(t)
	}
	return out
}

// finish ends the run and tells people.
func (w *work) finish(ctx context.Context, failure error) (ship.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	r := w.result(ctx, failure)
	if failure != nil {
		note, _ := w.writtenSince(ctx)
		r.Notes = append(r.Notes, note...)
		r.Notes = append(r.Notes, w.tell(ctx, r, string(r.Status))...)
	}
	if failure == nil && w.run.Request.Verb != ship.VerbMigrate {
		if err := w.e.Journal.AddDeployed(ctx, w.run); err != nil {
			return r, err
		}
	}
	w.watchUsage(ctx)
	w.forgetCatalogs()
	w.forgetGates(ctx)
	w.letGo(ctx)
	return r, w.e.end(ctx, w.run, r)
}

// letGo gives the claim up, so that who comes next does not have to wait until
// it lapses. A platform that cannot take that down, because its disk is full, is
// asked again as long as the claim would hold.
func (w *work) letGo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.e.TTL)
	defer cancel()
	for {
		err := w.platform.Release(ctx, w.env(), w.fence)
		if err == nil || ship.KindOf(err) == ship.Fenced {
			return
		}
		w.e.Log.Warn("release claim", "run", w.run.ID, "error", err)
		if sleep(ctx, 2*pollEvery) != nil {
			return
		}
	}
}

// superseded ends a run whose environment somebody else has now. Nothing is
// taken back: what there is is no longer ours.
func (w *work) superseded(ctx context.Context, failure error) (ship.Result, error) {
	if failure == nil || ship.KindOf(failure) != ship.Fenced {
		failure = context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	r := w.result(ctx, ship.Errorf(ship.Fenced, "shiplock status", "%s was taken over by another deployer, run %s changed nothing from then on: %w", w.env(), w.run.ID, failure))
	r.Notes = append(r.Notes, w.tell(ctx, r, string(r.Status))...)
	return r, w.e.end(ctx, w.run, r)
}

// result says how the run stands, in one object.
func (w *work) result(ctx context.Context, failure error) ship.Result {
	to := w.run.Request.Release.Number
	r := ship.Result{Run: w.run.ID, Environment: w.env(), Status: ship.Passed, Candidate: to, Schema: w.schema(failure == nil)}
	obs, err := w.platform.Observe(ctx, w.env())
	if err == nil {
		r.Serving, r.Receipt = obs.Slots[obs.Active].Release.Number, obs.Receipt
	} else {
		r.Notes = append(r.Notes, "what serves could not be observed: "+w.mask.String(err.Error()))
	}
	if failure == nil {
		r.Reason, r.Health = w.success(r), w.proof()
		r.Notes = append(r.Notes, w.backfillNotes()...)
		r.Notes = append(r.Notes, w.waitingNotes()...)
		return r
	}
	r.Status, r.Kind, r.Step = ship.Broken, ship.KindOf(failure), w.failedStep()
	if r.Kind == ship.Internal || r.Kind == ship.Unreachable && r.Step != plan.Preflight {
		r.Kind = ship.Failed
	}
	if r.Kind == ship.Interrupted {
		r.Status = ship.Aborted
		if w.run.Result.Schema == ship.SchemaUnknown && !w.done(plan.Migrate) {
			// To give up on a migration nobody saw the end of is not to know it.
			r.Schema, failure = ship.SchemaUnknown, &ship.Error{Kind: r.Kind, Hint: "shiplock migrate status " + w.env().Name, Err: failure}
		}
	}
	r.Reason = w.mask.String(failure.Error())
	if r.Next = ship.HintOf(failure); r.Next == "" {
		r.Next = "shiplock explain " + w.run.ID
	}
	// A tool knows what its command is called, and not in which run.
	r.Next = strings.Replace(r.Next, "shiplock logs --job ", "shiplock logs "+w.env().Name+" --job "+w.run.ID+".", 1)
	return r
}

func (w *work) success(r ship.Result) string {
	switch {
	case w.run.Request.Options.Down != "":
		return fmt.Sprintf("%s is taken back in %s", names(w.run.Plan.Migrations), w.env())
	case w.run.Request.Options.Contract:
		return fmt.Sprintf("%s is carried out in %s: what it took away is gone", names(w.run.Plan.Migrations), w.env())
	case w.run.Request.Options.Backfill != "":
		return fmt.Sprintf("the backfills of v%d are carried on in %s", r.Candidate, w.env())
	case w.run.Request.Verb == ship.VerbMigrate:
		return fmt.Sprintf("%s is migrated for v%d", w.env(), r.Candidate)
	case r.Receipt != nil && w.run.Plan.From != nil:
		return fmt.Sprintf("v%d serves %s; %s", r.Serving, w.env(), r.Receipt)
	}
	return fmt.Sprintf("v%d serves %s", r.Serving, w.env())
}

// proof says what the watch of the run found, when it is over.
func (w *work) proof() ship.Proof {
	var seen watchEvidence
	if !w.evidence(plan.Watch, &seen) {
		return ""
	}
	switch seen.Verdict.Outcome {
	case ship.Pass:
		return ship.Proven
	case ship.NoConclusion:
		return ship.Unproven
	case ship.Fail, ship.Wait:
	}
	return ""
}

func (w *work) failedStep() string {
	name := w.current.Name
	for seq, s := range slices.Backward(w.run.Plan.Steps) {
		// A gate may have been interrupted because of one behind it.
		if e := w.entry(seq); e != nil && e.Error != "" && (e.Kind != ship.Interrupted || name == w.current.Name) {
			name = s.Name
		}
	}
	return name
}

// schema says what the run left of the schema, from what the migrate step
// recorded.
func (w *work) schema(passed bool) ship.SchemaState {
	if journal, err := w.e.Journal.Journal(context.Background(), w.run.ID); err == nil {
		w.journal = journal
	}
	var m migrateEvidence
	if !w.evidence(plan.Migrate, &m) {
		_ = w.evidence(plan.Down, &m) || w.evidence(plan.Contract, &m)
	}
	switch {
	case m.Half != "" && !passed:
		return ship.SchemaUnknown
	case len(m.Completed) > 0 && passed:
		return ship.SchemaChanged
	case len(m.Completed) > 0:
		return ship.SchemaAhead
	case len(m.Reverted) > 0:
		return ship.SchemaReverted
	}
	return ship.SchemaUnchanged
}

// back takes back what has to be, in reverse order. It goes on although the
// step that failed was interrupted, since leaving things half-done is what it
// is there to avoid.
func (w *work) back(ctx context.Context, failure error) error {
	r := w.result(ctx, failure)
	w.run.Status = ship.Undoing
	if err := w.e.Journal.SetStatus(ctx, w.run.ID, ship.Undoing, r); err != nil {
		return err
	}
	for seq := len(w.run.Plan.Steps) - 1; seq >= 0; seq-- {
		if err := w.undoStep(ctx, seq); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) undoStep(ctx context.Context, seq int) error {
	journal, err := w.e.Journal.Journal(ctx, w.run.ID)
	if err != nil {
		return err
	}
	w.journal = journal
	s, entry := w.run.Plan.Steps[seq], w.entry(seq)
	impl := steps[s.Kind]
	if entry == nil || entry.State == ship.StepUndone || impl.undo == nil {
		return nil
	}
	w.seq, w.current = seq, s
	if err := w.intend(ctx, ship.StepUndoing); err != nil {
		return err
	}
	undoCtx, cancel := context.WithTimeout(ctx, undoTime)
	defer cancel()
	impatient := w.patiently()
	text, evidence, err := impl.undo(undoCtx, w)
	impatient()
	if err != nil {
		w.event(ctx, ship.EventNote, fmt.Sprintf("%s could not be taken back: %v", s.Name, err), nil)
		return fmt.Errorf("take back %s: %w", s.Name, err)
	}
	w.newPlan = nil
	if err := w.conclude(ctx, ship.StepUndone, evidence, entry.Failure()); err != nil {
		return err
	}
	if text != "" {
		w.event(ctx, ship.EventUndone, text, nil)
	}
	return nil
}
