package backfill

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// The patience of a backfill.
const (
	lockWait    = time.Second      // of a batch for a row that somebody has
	longest     = 30 * time.Second // a statement may take
	mostErrors  = 20               // in a row, before it stops
	mostPasses  = 5
	lookEvery   = 2 * time.Second // at what speaks against another batch
	tellEvery   = 2 * time.Second
	firstPause  = 250 * time.Millisecond
	mostPause   = 15 * time.Second
	checkAtMost = 30 * time.Minute
)

// Deps are what a backfill needs.
type Deps struct {
	DB    database.Backfiller
	Lock  database.Filler
	Fence ship.Fence
	// Stop is asked before each batch; what it returns is why the backfill has
	// to end now. The error ends it too.
	Stop func(context.Context) (status, why string, err error)
	// Tell is told how far it is, now and then.
	Tell func(text string, p database.Progress)
	// App says how the application does; nil where nobody can tell.
	App func(context.Context) App
	// Record makes the record of the ledger of a backfill that is done.
	Record func(File) ship.Record
	// Fixed, unless 0, is the size of every batch, with no rest and no waiting
	// between them, for comparisons.
	Fixed int
}

// An Outcome is how a backfill stands when nothing more is done of it for now.
type Outcome struct {
	Status string // [database.FillDone], FillPaused or FillStopped
	Text   string
	Rows   int64 // changed by this call
}

// A filling is a backfill under way.
type filling struct {
	File
	Deps
	sql      database.BatchSQL
	pace     Pace
	progress database.Progress
	begun    time.Time
	seen     int64 // by this call, in this pass
	rows     int64
	told     time.Time
	looked   time.Time
	errors   int // in a row
}

// Run carries a backfill on from its cursor until it is done and verified,
// somebody stops it, or it cannot go on. An error means that we may not or
// cannot do anything any more; whatever else is wrong is an Outcome.
func Run(ctx context.Context, f File, d Deps) (Outcome, error) {
	b := &filling{File: f, Deps: d, sql: f.SQL(), begun: time.Now(), told: time.Now()}
	if err := b.open(ctx); err != nil {
		return b.failed(ctx, err)
	}
	if b.progress.Status == database.FillDone {
		return Outcome{Status: database.FillDone, Text: "was done before"}, nil
	}
	for {
		status, why, err := b.pass(ctx)
		if err != nil {
			return b.failed(ctx, err)
		}
		if status != "" {
			return b.stop(ctx, status, why)
		}
		left, err := b.left(ctx)
		switch {
		case err != nil:
			return b.failed(ctx, err)
		case left <= 0:
			return b.finish(ctx, left)
		case b.progress.Pass >= mostPasses:
			return b.stop(ctx, database.FillStopped, fmt.Sprintf("%d rows are not done after %d passes: somebody goes on writing such rows, or the statement leaves them as they are", left, mostPasses))
		}
		if err := b.again(ctx, left); err != nil {
			return b.failed(ctx, err)
		}
	}
}

// open reads how far the backfill is, and looks once at the table.
func (b *filling) open(ctx context.Context) error {
	if err := b.reload(ctx); err != nil {
		return err
	}
	p, err := database.BeginFill(b.progress, database.Batch{Name: b.Name, Checksum: b.Checksum}, b.Fence)
	if b.progress.Status == database.FillDone && b.progress.Checksum == b.Checksum {
		return nil
	}
	if err != nil {
		return err
	}
	fresh := !b.progress.Touched()
	b.progress = p
	b.pace = NewPace(b.Target, b.Batch, p.Size)
	if !fresh {
		return nil
	}
	without, err := b.DB.Rows(ctx, b.nullKeys())
	if err != nil {
		return fmt.Errorf("look at %s: %w", b.Table, err)
	}
	if len(without) > 0 {
		return ship.Errorf(ship.MigrationFailed, "use columns that are NOT NULL, such as the primary key", "%s has rows whose key is NULL: no page would ever have them", b.Table)
	}
	b.progress.Total, err = b.DB.Estimate(ctx, b.Table)
	if err != nil {
		return fmt.Errorf("estimate the size of %s: %w", b.Table, err)
	}
	return b.Lock.Keep(ctx, b.progress)
}

// reload reads what is kept: after an error nobody knows whether the last
// batch was the last of what was done.
func (b *filling) reload(ctx context.Context) error {
	all, err := b.DB.Progress(ctx)
	if err != nil {
		return fmt.Errorf("read the progress of backfills: %w", err)
	}
	for _, p := range all {
		if p.Name == b.Name {
			b.progress = p
		}
	}
	return nil
}

// pass goes once through the table, from the cursor to its end.
func (b *filling) pass(ctx context.Context) (status, why string, err error) {
	for {
		if status, why, err = b.Stop(ctx); status != "" || err != nil {
			return status, why, err
		}
		if status, why, err = b.calm(ctx); status != "" || err != nil {
			return status, why, err
		}
		done, err := b.Lock.Fill(ctx, b.batch())
		if err != nil {
			if err := b.bear(ctx, err); err != nil {
				return "", "", err
			}
			continue
		}
		if err := failpoint.Hit("backfill batch"); err != nil {
			return "", "", err
		}
		if b.errors = 0; done.End {
			return "", "", nil
		}
		b.took(done)
		if b.Fixed > 0 {
			continue
		}
		if err := sleep(ctx, Rest(done.Took, b.dialect == sqltext.SQLite)); err != nil {
			return "", "", err
		}
	}
}

func (b *filling) batch() database.Batch {
	size := b.pace.Size
	if b.Fixed > 0 {
		size = b.Fixed
	}
	rate, _ := b.rate()
	return database.Batch{Name: b.Name, Checksum: b.Checksum, SQL: b.sql, Limit: size, Rate: rate, Wait: lockWait, Longest: longest}
}

// took learns from a batch.
func (b *filling) took(done database.Filled) {
	b.progress = done.Progress
	b.seen += done.Seen
	b.rows += done.Rows
	if b.pace = b.pace.After(done.Took, done.Waiting > 0); b.Fixed > 0 {
		b.pace.Size = b.Fixed
	}
	b.progress.Size = b.pace.Size
	if time.Since(b.told) >= tellEvery {
		b.told = time.Now()
		b.Tell(b.text(), b.progress)
	}
}

// text says how far it is.
func (b *filling) text() string {
	p := b.progress
	rate, left := b.rate()
	text := fmt.Sprintf("%s: %d rows seen, %d changed", b.Name, p.Seen, p.Rows)
	if p.Total > 0 {
		text = fmt.Sprintf("%s: %d of about %d rows seen, %d changed", b.Name, p.Seen, max(p.Total, p.Seen), p.Rows)
	}
	if text += fmt.Sprintf(", %.0f rows/s in batches of %d", rate, b.pace.Size); left > 0 {
		text += fmt.Sprintf(", about %s left", left.Round(time.Second))
	}
	return text
}

func (b *filling) rate() (float64, time.Duration) {
	return Rate(b.seen, b.seen+max(0, b.progress.Total-b.progress.Seen), time.Since(b.begun))
}

// calm waits until nothing speaks against another batch.
func (b *filling) calm(ctx context.Context) (status, why string, err error) {
	if b.Fixed > 0 || time.Since(b.looked) < lookEvery {
		return "", "", nil
	}
	since, last := time.Now(), ""
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		strain, err := b.DB.Strain(ctx, b.Table)
		if err != nil {
			return "", "", fmt.Errorf("look what speaks against another batch: %w", err)
		}
		var app App
		if b.App != nil {
			app = b.App(ctx)
		}
		b.looked = time.Now()
		hold := Holds(strain, app, time.Since(since))
		if hold == "" {
			return "", "", nil
		}
		b.pace = b.pace.After(0, true)
		if hold != last {
			b.Tell(b.Name+" waits: "+hold, b.progress)
			last = hold
		}
		if err := sleep(ctx, pause); err != nil {
			return "", "", err
		}
		if status, why, err = b.Stop(ctx); status != "" || err != nil {
			return status, why, err
		}
	}
}

// bear decides whether a batch that failed is tried again, smaller.
func (b *filling) bear(ctx context.Context, failure error) error {
	smaller := errors.Is(failure, database.ErrBusy) || errors.Is(failure, database.ErrTooLong)
	if b.errors++; !smaller || b.errors > mostErrors || ctx.Err() != nil {
		return failure
	}
	b.pace = b.pace.After(0, true)
	return sleep(ctx, min(mostPause, firstPause<<min(b.errors, 6)))
}

// left counts the rows that are not done, -1 when nothing can tell.
func (b *filling) left(ctx context.Context) (int64, error) {
	if b.check == "" {
		return -1, nil
	}
	b.Tell(b.Name+": counting the rows that are not done", b.progress)
	ctx, cancel := context.WithTimeout(ctx, checkAtMost)
	defer cancel()
	rows, err := b.DB.Rows(ctx, b.check)
	if err != nil {
		return 0, fmt.Errorf("count the rows that are not done: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return 0, ship.Errorf(ship.MigrationFailed, "let it be SELECT count(*) FROM …", "the check of %s does not return one number", b.Name)
	}
	n, err := strconv.ParseInt(rows[0][0], 10, 64)
	if err != nil {
		return 0, ship.Errorf(ship.MigrationFailed, "let it be SELECT count(*) FROM …", "the check of %s returns %q, which is no number", b.Name, rows[0][0])
	}
	return n, nil
}

// again begins another pass, for rows that came behind the cursor.
func (b *filling) again(ctx context.Context, left int64) error {
	b.progress.Pass++
	b.progress.Cursor, b.progress.Last, b.progress.Seen = nil, nil, 0
	b.seen, b.begun = 0, time.Now()
	b.Tell(fmt.Sprintf("%s: %d rows came behind the cursor, going through the table once more", b.Name, left), b.progress)
	return b.Lock.Keep(ctx, b.progress)
}

// finish records that the backfill is done.
func (b *filling) finish(ctx context.Context, left int64) (Outcome, error) {
	p := b.progress
	p.Status, p.Note = database.FillDone, "verified: no row is left"
	if left < 0 {
		p.Note = "not verified: the file has no check, and its statement does not tell what is done"
	}
	if err := b.Lock.Keep(ctx, p, b.Record(b.File)); err != nil {
		return b.failed(ctx, err)
	}
	return Outcome{Status: database.FillDone, Text: fmt.Sprintf("%d rows changed, %s", p.Rows, p.Note), Rows: b.rows}, nil
}

// stop leaves the backfill where it is.
func (b *filling) stop(ctx context.Context, status, why string) (Outcome, error) {
	p := b.progress
	p.Status, p.Note = status, why
	if err := b.Lock.Keep(ctx, p); err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: status, Text: fmt.Sprintf("%s; %d rows seen, %d changed, the cursor is kept", why, p.Seen, p.Rows), Rows: b.rows}, nil
}

// failed keeps why the backfill stopped, unless we are being stopped ourselves
// or somebody else has the environment.
func (b *filling) failed(ctx context.Context, failure error) (Outcome, error) {
	if ctx.Err() != nil || ship.KindOf(failure) == ship.Fenced {
		return Outcome{}, failure
	}
	out := Outcome{Status: database.FillStopped, Text: failure.Error(), Rows: b.rows}
	if err := b.reload(ctx); err != nil || b.progress.Name == "" || b.progress.Checksum != b.Checksum {
		return out, nil //nolint:nilerr // the outcome says what is wrong; there is nothing to keep it in
	}
	p := b.progress
	p.Status, p.Note = database.FillStopped, failure.Error()
	if err := b.Lock.Keep(ctx, p); err != nil && ship.KindOf(err) == ship.Fenced {
		return Outcome{}, err
	}
	return out, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
