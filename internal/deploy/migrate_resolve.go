package deploy

import (
	"context"
	"fmt"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
)

// resolve finds out what became of a migration that was begun. A person's word
// counts before the tool's. One that a command of this very run carries out is
// attached to. What cannot be known pauses the run.
func (m *migration) resolve(ctx context.Context, mig ship.Migration, rec *ship.Record) (done, attach bool, err error) {
	state, err := m.word(ctx, mig)
	if err != nil {
		return false, false, err
	}
	if state == "" {
		if rec.Run == m.w.run.ID && !records(m.w.tool) {
			return false, true, nil
		}
		if state, err = m.w.tool.Observe(ctx, m.project, mig); err != nil {
			return false, false, err
		}
	}
	switch state {
	case migrate.StateApplied:
		return true, false, m.done(ctx, mig)
	case migrate.StateNotApplied:
		m.w.event(ctx, ship.EventNote, mig.ID+" was begun before and is not applied: it is begun again", nil)
		if records(m.w.tool) {
			return false, false, nil // its record says how far it came
		}
		return false, false, m.lock.Do(ctx, ship.Work{Atomic: true, Forget: []string{mig.ID}})
	}
	return false, false, m.unknown(mig, "nobody saw how it ended", nil)
}

// word takes what a person said of a migration, once. When it is to be begun
// anew its commands need a name that was not used before.
func (m *migration) word(ctx context.Context, mig ship.Migration) (migrate.State, error) {
	if m.w.detached {
		return "", nil
	}
	sig, err := m.w.e.Journal.TakeSignal(ctx, m.w.run.ID, "resolve:"+mig.ID)
	if err != nil || sig == nil {
		return "", err
	}
	m.w.event(ctx, ship.EventNote, fmt.Sprintf("%s is %s, says %s", mig.ID, sig.Data, sig.By), nil)
	return migrate.State(sig.Data), m.anew(ctx, mig)
}

// anew notes that a migration is begun anew: its commands get other names.
func (m *migration) anew(ctx context.Context, mig ship.Migration) error {
	if m.found.Tries == nil {
		m.found.Tries = map[string]int{}
	}
	m.found.Tries[mig.ID]++
	return m.w.note(ctx, m.found)
}

// unknown pauses the run: the facts are given, and a person decides.
func (m *migration) unknown(mig ship.Migration, why string, facts []string) error {
	if !mig.Atomic {
		facts = append([]string{mig.ID + " is not atomic: some of it may have stayed"}, facts...)
	}
	next := fmt.Sprintf("shiplock resume %s --migration %s", m.w.run.ID, mig.ID)
	if m.w.detached { // there is no run to resume
		next = fmt.Sprintf("shiplock migrate resolve %s %s", m.w.env().Name, mig.ID)
	}
	return &pauseError{
		reason: fmt.Sprintf("%s: %s", mig.ID, why), facts: facts,
		next: fmt.Sprintf("look at the database, then: %s --as applied|not-applied", next),
	}
}
