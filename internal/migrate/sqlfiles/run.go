package sqlfiles

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// recordLimit bounds the writing of a failure, which outlives cancellation.
const recordLimit = 10 * time.Second

// atomic carries out the whole part, the history and the record as one. The
// history comes first: a migration may leave a search path behind.
func (j *job) atomic(ctx context.Context, history []string, w ship.Work) error {
	w.Statements = history
	for _, s := range j.steps {
		w.Statements = append(w.Statements, s.sql()...)
	}
	err := j.project.Session.Do(ctx, w)
	if err == nil {
		return nil
	}
	var failed *statement
	if e, ok := errors.AsType[*ship.StatementError](err); ok && len(j.steps) > 0 {
		if i := e.Index - len(history); i >= 0 && i < len(j.steps[0].statements) {
			failed = &j.steps[0].statements[i]
		}
	}
	left := "nothing of it is left"
	if ctx.Err() != nil {
		left = "it is there as a whole or not at all"
	}
	return j.failure(ctx, failed, err, left)
}

// stepwise carries out the part step by step, from where an earlier attempt
// came to when it was begun.
func (j *job) stepwise(ctx context.Context, r ship.Record, begun bool) error {
	done := 0
	begun = begun && r.Status != ship.RecordDone
	if begun {
		if done = underway(r); j.down {
			done = -1 - done
		}
		if r.Checksum != j.file.checksum && (done > 0 || r.Status != ship.RecordFailed) {
			return ship.Errorf(ship.MigrationFailed, "mend the schema by hand, or bring back the file as it was",
				"%d statements of %s were done when it was another text", done, j.m.ID)
		}
	} else if err := j.begin(ctx); err != nil {
		return err
	}
	fresh := true // the session knows nothing of the statements before
	for _, s := range j.steps {
		if s.first < done {
			continue
		}
		already := false
		if begun && s.first == done {
			var err error
			if already, err = j.resume(ctx, s, r.Status == ship.RecordStarted); err != nil {
				return err
			}
		}
		if fresh {
			if err := j.prepare(ctx, s); err != nil {
				return err
			}
		}
		if err := j.step(ctx, s, already); err != nil {
			return err
		}
		fresh = s.atomic || already // a session is not kept beyond a transaction
	}
	return nil
}

// begin records that the job is begun, with the tool's own mark.
func (j *job) begin(ctx context.Context) error {
	w := ship.Work{Atomic: true, Statements: append(j.create(), j.history.begin(j.past, j.file)...), Record: []ship.Record{j.record(ship.RecordStarted, 0)}}
	if err := j.project.Session.Do(ctx, w); err != nil {
		return fmt.Errorf("begin %s: %w", j.m.ID, err)
	}
	return nil
}

// prepare sets up the session as the file did before the step.
func (j *job) prepare(ctx context.Context, s step) error {
	for _, st := range s.session {
		if err := j.project.Session.Do(ctx, ship.Work{Statements: []string{st.SQL}}); err != nil {
			return j.failure(ctx, &st, err, fmt.Sprintf("%d of its %d statements are done", s.first, j.count()))
		}
	}
	return nil
}

// step carries one out and records it; one that is done already is recorded.
func (j *job) step(ctx context.Context, s step, already bool) error {
	w := ship.Work{Atomic: s.atomic || already, Statements: s.sql(), Record: []ship.Record{j.record(ship.RecordStarted, s.after())}}
	if already {
		w.Statements = nil
	}
	err := j.project.Session.Do(ctx, w)
	if err == nil {
		err = j.valid(ctx, s)
	}
	if err == nil {
		return nil
	}
	failed := &s.statements[0]
	if e, ok := errors.AsType[*ship.StatementError](err); ok && e.Index >= 0 && e.Index < len(s.statements) {
		failed = &s.statements[e.Index]
	}
	said := fmt.Sprintf("%d of its %d statements are done", s.first, j.count())
	if ctx.Err() != nil {
		// The statement may still have come to its end: that stays to be seen.
		return j.failure(ctx, failed, err, said+" for certain")
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	if ship.KindOf(err) != ship.Fenced {
		r := j.record(ship.RecordFailed, s.first)
		if j.half != nil && s.first == 0 && s.atomic {
			r.Statement = j.half.Statement // the way down changed nothing: the way up can go on
		}
		if e := j.project.Session.Do(keep, ship.Work{Atomic: true, Record: []ship.Record{r}}); e != nil {
			said += "; recording the failure failed too: " + e.Error()
		}
	}
	return j.failure(ctx, failed, err, said)
}

// failure says which statement failed, why, and what is left of the migration.
func (j *job) failure(ctx context.Context, st *statement, err error, left string) error {
	if kind := ship.KindOf(err); kind == ship.Fenced || kind == ship.Locked || kind == ship.Unreachable {
		return fmt.Errorf("migrate %s: %w", j.m.ID, err)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	where, hint := j.part.path, "mend the migration, make a new release and deploy it"
	if st != nil {
		line := st.Line
		if e, ok := errors.AsType[*ship.StatementError](err); ok {
			line += max(0, e.Line-1)
		}
		where = fmt.Sprintf("%s, line %d, %s", where, line, excerpt(st.SQL))
	}
	if !isAtomic(j.steps) {
		hint = "remove the cause and deploy again: it goes on after the last statement that is done"
	}
	if j.down {
		hint = "look at the schema: the way down does not fit it"
	}
	if own := ship.HintOf(err); own != "" {
		hint = own // the database knows better
	}
	return ship.Errorf(ship.MigrationFailed, hint, "%s: %w; %s", where, err, left)
}

// excerpt shows the beginning of a statement on one line.
func excerpt(sql string) string {
	const most = 80
	words := strings.Join(strings.Fields(sql), " ")
	if runes := []rune(words); len(runes) > most {
		words = string(runes[:most]) + "…"
	}
	return "`" + words + "`"
}
