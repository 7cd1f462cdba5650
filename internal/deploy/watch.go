package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// worthLeaving is how long a watch has to go on for those who wait for proven
// health to be told to leave: otherwise its end is here in a moment.
const worthLeaving = 3 * time.Second

// afterFor is how long a run that was taken back waits to hear how the old
// release does. Errors that go on there show within moments.
const afterFor = 2 * time.Second

// drain waits for the requests that were under way on the old release.
func drain(ctx context.Context, w *work) (string, any, error) {
	last, told := "", time.Time{}
	for pause := firstPoll; ; pause = min(2*pause, pollEvery) {
		obs, err := w.platform.Observe(ctx, w.env())
		switch {
		case err != nil:
		case staged(obs):
			if text := fmt.Sprintf("%g %% of the requests go to v%d: %s", obs.Watch.Percent, w.run.Request.Release.Number, obs.Watch.Verdict.Reason); text != last {
				last = text
				w.event(ctx, ship.EventProgress, text, nil)
			}
		case obs.Receipt != nil && !draining(obs):
			r := obs.Receipt
			return r.String(), r, nil
		case time.Since(told) < time.Second:
		default:
			if text := leftOf(obs); text != "" && text != last {
				last, told = text, time.Now()
				w.event(ctx, ship.EventProgress, text, nil)
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return "", nil, fmt.Errorf("wait for the old release to drain: %w", err)
		}
	}
}

// staged tells whether the new release gets only a share of the requests yet,
// and goes on to the next one by itself.
func staged(obs platform.Observation) bool {
	return obs.Watch != nil && obs.Watch.Percent > 0 && obs.Watch.Verdict.Outcome == ship.Wait
}

// leftOf says which requests the old release still has.
func leftOf(obs platform.Observation) string {
	for _, s := range obs.Slots {
		if s.Draining && len(s.Left) > 0 {
			return ship.Enumerate(s.Left) + " left"
		}
	}
	return ""
}

func draining(obs platform.Observation) bool {
	for _, s := range obs.Slots {
		if s.Draining {
			return true
		}
	}
	return false
}

// watchEvidence is what a watch leaves in the journal: how it stood, and what
// the verdict was made of, so that it can be explained and made again.
type watchEvidence struct {
	platform.WatchStatus
	Judged json.RawMessage `json:"judged,omitempty"` // analysis.Evidence
}

// A watcher follows the platform's guard for a run.
type watcher struct {
	*work
	last    string // sentence that was told last
	alert   string
	healthy bool
	quiet   bool      // who waits was told that there will be no proof soon
	asked   time.Time // when the journal was last looked at for a person's word
}

// watch waits for the platform's verdict on the new release. The platform
// shifts back by itself, with or without us.
func watch(ctx context.Context, w *work) (string, any, error) {
	x := watcher{work: w}
	for {
		obs, err := w.platform.Observe(ctx, w.env())
		if err == nil && obs.Watch != nil {
			if obs.Watch.Run != w.run.ID {
				return "", nil, ship.Errorf(ship.Fenced, "shiplock status", "another run guards %s now", w.env())
			}
			x.tellOf(ctx, *obs.Watch)
			if obs.Watch.Verdict.Outcome != ship.Wait {
				return x.over(ctx, obs)
			}
			if err := x.dismissed(ctx, *obs.Watch); err != nil {
				return "", nil, err
			}
		}
		if err := sleep(ctx, 2*pollEvery); err != nil {
			return "", nil, fmt.Errorf("wait for the verdict: %w", err)
		}
	}
}

// dismissed ends the watch when a person said that the release stays.
func (x *watcher) dismissed(ctx context.Context, st platform.WatchStatus) error {
	guardian, ok := x.direct.(platform.Guardian)
	if !ok || time.Since(x.asked) < time.Second {
		return nil
	}
	x.asked = time.Now()
	sig, err := x.e.Journal.TakeSignal(ctx, x.run.ID, "resume")
	if err != nil || sig == nil {
		return nil //nolint:nilerr // a signal that cannot be read now is read at the next look
	}
	why := fmt.Sprintf("%s ended the watch after %s", sig.By, time.Since(st.Began).Round(time.Second))
	return guardian.EndWatch(ctx, x.fence, x.env(), why)
}

// over ends the watch as its verdict says.
func (x *watcher) over(ctx context.Context, obs platform.Observation) (string, any, error) {
	st := *obs.Watch
	switch {
	case st.Back:
		st = x.after(ctx, st)
		return "", x.evidenceOf(ctx, st), x.rolledBack(obs, st)
	case st.Held:
		return x.decide(ctx, st)
	case st.Verdict.Outcome == ship.Fail:
		return "", x.evidenceOf(ctx, st), x.rolledBack(obs, st)
	case st.Verdict.Outcome == ship.NoConclusion:
		x.event(ctx, ship.EventNote, "not proven: "+st.Verdict.Reason, nil)
		return fmt.Sprintf("not proven, v%d goes on serving: %s", x.run.Request.Release.Number, st.Verdict.Reason), x.evidenceOf(ctx, st), nil
	}
	return st.Verdict.Reason, x.evidenceOf(ctx, st), nil
}

// tellOf tells what is new of the watch: who waits for the deployment may stop
// when health is proven, and people are told at once of what they have to hear.
func (x *watcher) tellOf(ctx context.Context, st platform.WatchStatus) {
	if st.Verdict.Outcome == ship.Wait && st.Verdict.Reason != x.last {
		x.last = st.Verdict.Reason
		x.event(ctx, ship.EventProgress, x.last, nil)
	}
	if st.Healthy && !x.healthy && st.Verdict.Outcome == ship.Wait && time.Until(st.Until) > worthLeaving {
		x.healthy = true
		r := x.result(ctx, nil)
		r.Status, r.Health, r.Reason = ship.Running, ship.Proven, fmt.Sprintf("v%d is healthy, proven; the watch goes on until %s UTC", r.Candidate, st.Until.UTC().Format(time.TimeOnly))
		x.event(ctx, ship.EventHealthy, r.Reason, r)
	}
	x.tellQuiet(ctx, st)
	if st.Alert != "" && x.alert == "" && !st.Held {
		x.event(ctx, ship.EventNote, "held: "+st.Alert, nil)
		r := x.result(ctx, ship.Errorf(ship.Inconclusive, "shiplock watch "+x.env().Name, "held: %s", st.Alert))
		r.Status = ship.Running
		for _, note := range x.tell(ctx, r, "held") {
			x.event(ctx, ship.EventNote, note, nil)
		}
	}
	x.alert = st.Alert
}

// tellQuiet tells who waits for proven health that there will be none soon,
// because too few requests come: the release serves, and its guard goes on.
func (x *watcher) tellQuiet(ctx context.Context, st platform.WatchStatus) {
	// Without proof the watch lasts as long as it may.
	until := st.Began.Add(x.run.Request.Environment.Watch.Longest())
	if st.Quiet == "" || x.quiet || st.Healthy || st.Verdict.Outcome != ship.Wait || time.Until(until) <= worthLeaving {
		return
	}
	x.quiet = true
	r := x.result(ctx, nil)
	guards := fmt.Sprintf("takes v%d back by itself if it fails", r.Candidate)
	if x.noWayBack() != "" {
		guards = "calls a person if it fails"
	}
	r.Status, r.Health = ship.Running, ship.Unproven
	r.Reason = fmt.Sprintf("v%d serves; not proven: %s; the watch goes on until %s UTC and %s", r.Candidate, st.Quiet, until.UTC().Format(time.TimeOnly), guards)
	x.event(ctx, ship.EventUnproven, r.Reason, r)
}

// after waits a moment for what comes of going back: a cause that both
// releases have does not go away with one of them.
func (x *watcher) after(ctx context.Context, st platform.WatchStatus) platform.WatchStatus {
	until := time.Now().Add(afterFor)
	for st.After == "" && time.Now().Before(until) && sleep(ctx, pollEvery) == nil {
		if obs, err := x.platform.Observe(ctx, x.env()); err == nil && obs.Watch != nil && obs.Watch.Run == x.run.ID {
			st = *obs.Watch
		}
	}
	return st
}

// decide asks a person whether a release stays that is not proven, or that
// cannot be taken back.
func (x *watcher) decide(ctx context.Context, st platform.WatchStatus) (string, any, error) {
	ev := x.evidenceOf(ctx, st)
	sig, err := x.e.Journal.TakeSignal(ctx, x.run.ID, "resume")
	if err != nil {
		return "", ev, err
	}
	number := x.run.Request.Release.Number
	if sig != nil {
		return fmt.Sprintf("v%d stays, as %s decided: %s", number, sig.By, st.Verdict.Reason), ev, nil
	}
	p := &pauseError{reason: st.Verdict.Reason, held: true, next: fmt.Sprintf("shiplock resume %s, to let v%d stay", x.run.ID, number)}
	if x.noWayBack() != "" {
		return "", ev, p
	}
	if sig, err = x.e.Journal.TakeSignal(ctx, x.run.ID, "cancel"); err != nil {
		return "", ev, err
	}
	if sig != nil {
		return "", ev, ship.Errorf(ship.RolledBack, "", "v%d was taken back, as %s decided: %s", number, sig.By, st.Verdict.Reason)
	}
	p.next += fmt.Sprintf(", or shiplock abort %s, to take it back", x.run.ID)
	return "", ev, p
}

// noWayBack says why the old release must not get the traffic again, or "".
func (w *work) noWayBack() string {
	for _, s := range w.run.Plan.Steps {
		var p plan.ShiftParams
		if s.Kind == plan.Shift && json.Unmarshal(s.Params, &p) == nil {
			return p.NoWayBack
		}
	}
	return ""
}

// evidenceOf asks the platform what the verdict was made of. It is for the
// explanation: the verdict stands without it.
func (x *watcher) evidenceOf(ctx context.Context, st platform.WatchStatus) watchEvidence {
	ev := watchEvidence{WatchStatus: st}
	witness, ok := x.direct.(platform.Witness) // the patient one shows only a Platform
	if !ok {
		return ev
	}
	seen, err := witness.Evidence(ctx, x.env(), 0)
	if err != nil {
		x.event(ctx, ship.EventNote, "the evidence of the watch could not be read: "+err.Error(), nil)
	} else if seen.Run == x.run.ID {
		ev.Judged = seen.Judged
	}
	return ev
}

func (x *watcher) rolledBack(obs platform.Observation, st platform.WatchStatus) error {
	serving := obs.Slots[obs.Active].Release.Number
	after := ""
	if st.After != "" {
		after = "; " + st.After
	}
	return ship.Errorf(ship.RolledBack, "shiplock logs "+x.env().Name+" --run "+x.run.ID,
		"v%d was taken back, v%d is serving: %s%s", x.run.Request.Release.Number, serving, st.Verdict.Reason, after)
}

// hold ends a run for the time being whose release serves while a person has
// to decide whether it stays.
func (w *work) hold(ctx context.Context, r ship.Result) (ship.Result, error) {
	r.Status, r.Kind, r.Schema = ship.Paused, ship.Inconclusive, w.schema(true)
	r.Reason = "held: " + r.Reason
	r.Notes = append(r.Notes, w.tell(ctx, r, "held for a person")...)
	return r, w.e.end(ctx, w.run, r)
}
