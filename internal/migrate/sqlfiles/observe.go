package sqlfiles

import (
	"context"
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// Observe implements [migrate.Tool]. A migration that was begun, and that Up
// can go on with, is not applied; one whose way down was begun, and that Down
// can go on with, is applied. The ledger's record says how far each came.
func (t *Tool) Observe(ctx context.Context, p migrate.Project, m ship.Migration) (migrate.State, error) {
	j, err := t.job(ctx, p, m)
	if err != nil {
		return migrate.StateUnknown, err
	}
	if j.past.halfDone == j.file.version && j.past.foreignMark() != "" {
		return migrate.StateUnknown, nil
	}
	state := migrate.StateNotApplied
	if j.past.applied(j.file) {
		state = migrate.StateApplied
	}
	r, recorded := j.past.record(m.ID)
	if !recorded || r.Status == ship.RecordDone || (state == migrate.StateApplied && r.Statement >= 0) {
		return state, nil
	}
	known, err := j.known(ctx, r)
	if err != nil || !known {
		return migrate.StateUnknown, err
	}
	return state, nil
}

// known tells whether what was begun can go on without guessing.
func (j *job) known(ctx context.Context, r ship.Record) (bool, error) {
	part, done := &j.file.up, underway(r)
	if done < 0 {
		part, done = j.file.down, -1-done
	}
	if r.Checksum != j.file.checksum || part == nil || j.use(part, underway(r) < 0) != nil {
		return false, nil
	}
	if r.Status == ship.RecordFailed {
		return true, nil // it was seen to fail
	}
	for _, s := range j.steps {
		if s.first == done {
			found, _, err := j.look(ctx, s)
			return found != unclear, err
		}
	}
	return done == j.count(), nil
}

// A trace is what the catalog shows of a step that may have been begun.
type trace int

const (
	unclear trace = iota
	absent        // not there, or harmless to do again
	broken        // there, but not usable: to be removed before it is done again
	halfway       // begun in a way that can only be brought to its end
	present       // done
)

// resume finds out whether a step that was begun is done, and clears away what
// it left half done. With unseen its end was not seen; otherwise it failed.
func (j *job) resume(ctx context.Context, s step, unseen bool) (done bool, err error) {
	found, mend, err := j.look(ctx, s)
	if err != nil {
		return false, err
	}
	for _, sql := range mend {
		if err := j.project.Session.Do(ctx, ship.Work{Statements: []string{sql}}); err != nil {
			return false, fmt.Errorf("mend what an earlier attempt left, by %s: %w", excerpt(sql), err)
		}
	}
	switch {
	case found == unclear && unseen:
		st := s.statements[0]
		return false, ship.Errorf(ship.MigrationFailed, "look at the schema and finish the migration by hand",
			"%s, line %d: nobody saw how %s ended, and it cannot be told from the schema", j.part.path, st.Line, excerpt(st.SQL))
	case found == present:
		return unseen || s.statements[0].head.Verb == "DROP", nil // what is gone need not go again
	}
	return found == halfway, nil
}

// look asks the catalog, and says what mends what is found. A step within a
// transaction was recorded with it: without a record it was not done.
func (j *job) look(ctx context.Context, s step) (found trace, mend []string, err error) {
	if s.atomic {
		return absent, nil, nil
	}
	h := s.statements[0].head
	if h.Object == "INDEX" && h.Concurrently && (h.Verb == "CREATE" || h.Verb == "DROP") {
		return j.lookForIndex(ctx, h)
	}
	if h.Verb == "REINDEX" && h.Concurrently {
		return j.lookForCopies(ctx, h)
	}
	if i := slices.IndexFunc(h.Actions, func(a sqltext.Action) bool { return a.Verb == "DETACH PARTITION CONCURRENTLY" }); i >= 0 && len(h.Names) == 1 {
		return j.lookForPartition(ctx, h.Names[0], h.Actions[i].Name)
	}
	again := []string{"VACUUM", "REINDEX", "ANALYZE", "CLUSTER", "CHECKPOINT", "PRAGMA", "SET", "RESET", "SELECT"}
	if slices.Contains(again, h.Verb) && (h.Verb != "SELECT" || len(h.Calls) == 0) || h.Verb == "ALTER" && h.Object == "SYSTEM" {
		return absent, nil, nil
	}
	return unclear, nil, nil
}

// valid refuses an index that was built without an error and cannot be used,
// as IF NOT EXISTS leaves it when an earlier attempt failed.
func (j *job) valid(ctx context.Context, s step) error {
	h := s.statements[0].head
	if s.atomic || h.Verb != "CREATE" || h.Object != "INDEX" || !h.Concurrently {
		return nil
	}
	if len(h.Names) == 0 {
		return nil
	}
	found, _, err := j.lookForIndex(ctx, h)
	if err == nil && found == broken {
		err = fmt.Errorf("the index exists but is not valid: an earlier attempt to build it failed")
	}
	return err
}
