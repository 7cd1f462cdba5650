package sqlfiles

import (
	"context"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// A job is one way of one migration being carried out.
type job struct {
	project migrate.Project
	m       ship.Migration
	file    *file
	part    *part
	past    past
	history history
	dialect sqltext.Dialect
	steps   []step
	down    bool
	half    *ship.Record // of a way up that did not come to its end, when it is taken back
}

// job reads the world. A file that is not the one that was planned is refused.
func (t *Tool) job(ctx context.Context, p migrate.Project, m ship.Migration) (*job, error) {
	f, err := t.load(p.Tree)
	if err != nil {
		return nil, err
	}
	file := f.file(m.ID)
	if file == nil {
		return nil, ship.Errorf(ship.Invalid, "", "the release has no migration %s", m.ID)
	}
	if m.Checksum != "" && m.Checksum != file.checksum {
		return nil, ship.Errorf(ship.Invalid, "plan again", "%s is not the file that was planned: %.15s… instead of %.15s…", file.path, file.checksum, m.Checksum)
	}
	j := &job{project: p, m: m, file: file, dialect: sqltext.Dialect(p.Session.Dialect())}
	j.past, j.history, err = f.past(ctx, p.Session)
	return j, err
}

// use chooses the way to go.
func (j *job) use(p *part, down bool) error {
	var err error
	j.part, j.down = p, down
	if j.steps, err = p.steps(j.dialect); err != nil {
		return ship.Errorf(ship.Invalid, "", "%w", err)
	}
	return nil
}

// Up implements [migrate.Tool]. A migration that is applied is left alone and
// recorded; one that was begun goes on after the last statement that is done.
func (t *Tool) Up(ctx context.Context, p migrate.Project, m ship.Migration) error {
	ctx, cancel := limit(ctx, p.Timeout)
	defer cancel()
	j, err := t.job(ctx, p, m)
	if err != nil {
		return err
	}
	if mark := j.past.foreignMark(); mark != "" {
		return ship.Errorf(ship.MigrationFailed, "", "%s", mark)
	}
	r, recorded := j.past.record(m.ID)
	if recorded && underway(r) < 0 {
		return ship.Errorf(ship.MigrationFailed, "take it back first, or mend the schema by hand",
			"the way down of %s was begun and %d of its statements are done", m.ID, -1-underway(r))
	}
	if j.past.applied(j.file) {
		if recorded && r.Status == ship.RecordDone {
			return nil
		}
		return j.finish(ctx, ship.Work{Atomic: true, Record: []ship.Record{j.record(ship.RecordDone, 0)}})
	}
	if err := j.use(&j.file.up, false); err != nil {
		return err
	}
	t.log.InfoContext(ctx, "migrate up", "migration", m.ID, "steps", len(j.steps))
	work := ship.Work{Atomic: true, Record: append(j.adopted(), j.record(ship.RecordDone, j.count()))}
	if isAtomic(j.steps) && !(recorded && r.Status != ship.RecordDone && r.Statement > 0) {
		return j.atomic(ctx, append(j.create(), j.history.end(j.past, j.file)...), work)
	}
	if err := j.stepwise(ctx, r, recorded); err != nil {
		return err
	}
	work.Statements = j.history.end(j.past, j.file)
	return j.finish(ctx, work)
}

// Down implements [migrate.Tool]. A migration that is not applied is left
// alone; what was done of one that was begun is taken back by the whole way down.
func (t *Tool) Down(ctx context.Context, p migrate.Project, m ship.Migration) error {
	ctx, cancel := limit(ctx, p.Timeout)
	defer cancel()
	j, err := t.job(ctx, p, m)
	if err != nil {
		return err
	}
	if mark := j.past.foreignMark(); mark != "" {
		return ship.Errorf(ship.MigrationFailed, "", "%s", mark)
	}
	r, recorded := j.past.record(m.ID)
	begun := recorded && r.Status != ship.RecordDone
	if !j.past.applied(j.file) && !begun {
		return j.finish(ctx, ship.Work{Atomic: true, Forget: []string{m.ID}})
	}
	if j.file.down == nil {
		return ship.Errorf(ship.Invalid, "", "%s cannot be taken back: %s", m.ID, j.file.whyNot)
	}
	if err := j.use(j.file.down, true); err != nil {
		return err
	}
	if begun && underway(r) >= 0 {
		j.half = &r
	}
	t.log.InfoContext(ctx, "migrate down", "migration", m.ID, "steps", len(j.steps))
	work := ship.Work{Atomic: true, Forget: []string{m.ID}}
	if isAtomic(j.steps) && underway(r) >= 0 {
		return j.atomic(ctx, j.history.remove(j.past, j.file), work)
	}
	if err := j.stepwise(ctx, r, begun && underway(r) < 0); err != nil {
		return err
	}
	work.Statements = j.history.remove(j.past, j.file)
	return j.finish(ctx, work)
}

// limit bounds a migration.
func limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("the migration took longer than %s", d))
}

// create makes the history table when there is none.
func (j *job) create() []string {
	if j.past.exists {
		return nil
	}
	return j.history.create()
}

// adopted returns records of files that a history of one row says are applied
// and the ledger does not have yet. Their phase is not known.
func (j *job) adopted() []ship.Record {
	if j.past.through == "" {
		return nil
	}
	var all []ship.Record
	for _, f := range j.past.folder.files {
		if _, ok := j.past.record(f.id); ok || f == j.file || !j.past.applied(f) {
			continue
		}
		r := j.record(ship.RecordDone, 0)
		r.Migration, r.Checksum, r.Phase = f.id, f.checksum, ""
		all = append(all, r)
	}
	return all
}

func (j *job) count() int {
	if len(j.steps) == 0 {
		return 0
	}
	return j.steps[len(j.steps)-1].after()
}

// record returns the ledger's record of the job with n statements done. A way up
// that never came to its end is not applied while it is taken back, whatever
// becomes of that: nothing of it counts any more.
func (j *job) record(s ship.RecordStatus, n int) ship.Record {
	switch {
	case j.half != nil:
		n = 0
	case j.down:
		n = -1 - n
	}
	return ship.Record{
		Migration: j.m.ID, Checksum: j.file.checksum, Tool: toolName, Phase: j.m.Phase, Status: s, Statement: n,
		Release: j.project.Release, Run: j.project.Fence.Run, Epoch: j.project.Fence.Epoch, At: time.Now().UTC(),
	}
}

// finish writes what is left to write.
func (j *job) finish(ctx context.Context, w ship.Work) error {
	if err := j.project.Session.Do(ctx, w); err != nil {
		return fmt.Errorf("record %s: %w", j.m.ID, err)
	}
	return nil
}
