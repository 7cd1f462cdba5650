package backfill

import (
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/database"
)

// The bounds of a batch's size.
const (
	leastRows = 10
	mostRows  = 100_000
)

// A Pace finds the size of the next batch: it grows by a fixed step while
// batches are quicker than half of the target, and shrinks by half when one was
// slower than one and a half of it, or when somebody had to wait for it. Until
// the first time that it has to shrink it doubles.
type Pace struct {
	Target time.Duration
	Step   int
	Size   int
	Steady bool // it had to shrink once, or came near the target
}

// NewPace returns a pace that begins with size rows; 0 means step.
func NewPace(target time.Duration, step, size int) Pace {
	if size <= 0 {
		size = step
	}
	return Pace{Target: target, Step: step, Size: bounded(size), Steady: size > step}
}

// After returns the pace after a batch that took so long. waited tells that
// others had to wait for it.
func (p Pace) After(took time.Duration, waited bool) Pace {
	switch {
	case waited || took > p.Target+p.Target/2:
		p.Size, p.Steady = p.Size/2, true
	case took > p.Target/2:
		p.Steady = true
	case p.Steady:
		p.Size += p.Step
	default:
		p.Size *= 2
	}
	p.Size = bounded(p.Size)
	return p
}

func bounded(size int) int { return max(leastRows, min(size, mostRows)) }

// Rest returns how long to leave the database alone after a batch. A database
// with one writer is left alone for as long as it was kept busy, and for no
// less than it takes a waiting writer to look again.
func Rest(took time.Duration, oneWriter bool) time.Duration {
	if oneWriter {
		return max(took, 25*time.Millisecond)
	}
	return took / 4
}

// The limits of what is borne before a backfill waits.
const (
	mostWaiting  = 2                // sessions in the queue of the table
	mostLag      = 10 * time.Second // of a replica
	mostSlow     = 0.05             // share of slow requests: with more, the p95 is above its limit
	fewRequests  = 20               // fewer say nothing about a p95
	vacuumAtMost = 10 * time.Minute // an autovacuum of a large table takes hours: it is not waited for longer
)

// App is how the application does, as far as the platform can tell.
type App struct {
	Requests, Slow int64         // of the last seconds; slow ones took longer than Limit
	Limit          time.Duration // of its p95
}

// Holds says why the next batch has to wait, "" when it need not. waited is
// how long it has waited already.
func Holds(s database.Strain, app App, waited time.Duration) string {
	switch {
	case app.Requests >= fewRequests && float64(app.Slow) > mostSlow*float64(app.Requests):
		return fmt.Sprintf("%d of %d requests took longer than %s", app.Slow, app.Requests, app.Limit)
	case s.Lag > mostLag:
		return fmt.Sprintf("a replica is %s behind", s.Lag.Round(time.Second))
	case s.Waiting > mostWaiting:
		return fmt.Sprintf("%d sessions wait for a lock on the table", s.Waiting)
	case s.Vacuumed && waited < vacuumAtMost:
		return "autovacuum is at work on the table"
	}
	return ""
}

// Rate returns the rows a second that a backfill comes to, its waiting
// included, and when it will be through; zeros when that cannot be told.
func Rate(seen, total int64, since time.Duration) (rate float64, left time.Duration) {
	if since <= 0 || seen <= 0 {
		return 0, 0
	}
	rate = float64(seen) / since.Seconds()
	if total > seen {
		left = time.Duration(float64(total-seen) / rate * float64(time.Second))
	}
	return rate, left
}
