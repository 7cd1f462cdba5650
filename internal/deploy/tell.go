package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/ship"
)

// What the journal says of one channel and one end of a run.
const (
	sending = "sending" // a message may have been sent
	sent    = "sent"    // the receiver has it
)

// tellSeq is the place of telling people in the journal: behind every plan,
// since a run that fails tells them too, wherever it was.
const tellSeq = 1 << 20

// tellAll tells people that the run passed.
func tellAll(ctx context.Context, w *work) (string, any, error) {
	for _, note := range w.tell(ctx, w.result(ctx, nil), string(ship.Passed)) {
		w.event(ctx, ship.EventNote, note, nil)
	}
	return fmt.Sprintf("%d notifiers", len(w.run.Request.Environment.Notify)), nil, nil
}

// tell notifies those who asked to hear of such an end. What goes wrong is a
// note: the result stands. Each channel is told under the journal: what was
// recorded as sent is never sent again. Where a crash came between sending and
// recording, a success is not told again, so at most once; a failure or a
// rollback is, so at least once: of these nobody may fail to hear.
//
// An occasion is told of once: a run may pause more than once.
func (w *work) tell(ctx context.Context, r ship.Result, occasion string) []string {
	m := notify.Message{Topic: topic(r), Title: fmt.Sprintf("%s v%d: %s", r.Environment, r.Candidate, topic(r)), Result: r}
	said, err := w.openTold(ctx)
	if err != nil {
		return []string{"nobody was told: " + err.Error()}
	}
	var notes []string
	var receivers []notify.Receiver
	for i, n := range w.run.Request.Environment.Notify {
		key := fmt.Sprintf("%s %d %s", occasion, i, n.Plugin.Kind)
		if len(n.On) > 0 && !slices.Contains(n.On, m.Topic) || said.States[key] == sent {
			continue
		}
		if said.States[key] == sending && m.Topic == notify.TopicSuccess {
			notes = append(notes, "notifier "+n.Plugin.Kind+": a crash came while it was told; it is not told twice")
			continue
		}
		opened, err := w.e.Plugins.Notifier(n.Plugin, w.resolver)
		if err != nil {
			notes = append(notes, "notifier "+n.Plugin.Kind+": "+w.mask.String(err.Error()))
			continue
		}
		receivers = append(receivers, notify.Receiver{Kind: n.Plugin.Kind, Notifier: recorded{opened, said, key, m.Topic}})
	}
	for _, d := range notify.Dispatch(ctx, receivers, m) {
		if d.Err != nil {
			notes = append(notes, fmt.Sprintf("notifier %s was not told in %d tries: %s", d.Kind, d.Tries, w.mask.String(d.Err.Error())))
		}
	}
	if err := w.e.Journal.Settle(ctx, w.run.ID, tellSeq, ship.StepDone, said.States, nil, nil); err != nil {
		notes = append(notes, "that people were told was not recorded: "+err.Error())
	}
	return notes
}

func topic(r ship.Result) string {
	switch {
	case r.Kind == ship.RolledBack:
		return notify.TopicRollback
	case r.Status != ship.Passed:
		return notify.TopicFailure
	}
	return notify.TopicSuccess
}

// told is what the journal has of who was told.
type told struct {
	w      *work
	mu     sync.Mutex
	States map[string]string
}

// openTold reads what an earlier attempt recorded, and records that people are
// being told.
func (w *work) openTold(ctx context.Context) (*told, error) {
	journal, err := w.e.Journal.Journal(ctx, w.run.ID)
	if err != nil {
		return nil, err
	}
	t := &told{w: w, States: map[string]string{}}
	for _, e := range journal {
		if e.Seq == tellSeq && len(e.Evidence) > 0 {
			if err := json.Unmarshal(e.Evidence, &t.States); err != nil {
				return nil, fmt.Errorf("read who was told: %w", err)
			}
		}
	}
	return t, w.e.Journal.Intend(ctx, w.run.ID, tellSeq, "tell", ship.StepStarted, w.fence.Epoch)
}

func (t *told) record(ctx context.Context, key, state string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.States[key] == state {
		return nil
	}
	t.States[key] = state
	return t.w.e.Journal.Note(ctx, t.w.run.ID, tellSeq, t.States)
}

// recorded is a notifier whose every message is in the journal before it is
// sent and after.
type recorded struct {
	notify.Notifier
	said  *told
	key   string
	topic string
}

// Notify implements [notify.Notifier].
func (r recorded) Notify(ctx context.Context, m notify.Message) error {
	// A failure is told also where the journal cannot be written.
	if err := r.said.record(ctx, r.key, sending); err != nil && r.topic == notify.TopicSuccess {
		return fmt.Errorf("%w: %w", notify.ErrPermanent, err)
	}
	if err := r.Notifier.Notify(ctx, m); err != nil {
		return err
	}
	if err := r.said.record(ctx, r.key, sent); err != nil {
		r.said.w.e.Log.WarnContext(ctx, "record that somebody was told", "run", r.said.w.run.ID, "error", err)
	}
	return nil
}
