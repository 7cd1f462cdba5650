package backfill_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/backfill"
	"github.com/shiplock/shiplock/internal/database"
)

// What rows cost is unknown, and changes: the size finds the target either way.
func TestTheSizeOfBatchesFindsTheTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := 300 * time.Millisecond
		row := time.Duration(rapid.IntRange(3_000, 10_000_000).Draw(t, "row"))
		p := backfill.NewPace(target, 1000, 0)
		for range 200 {
			p = p.After(time.Duration(p.Size)*row, false)
		}
		took := time.Duration(p.Size) * row
		if took > 2*target && p.Size > 10 || took < target/4 && p.Size < 100_000 {
			t.Errorf("rows of %s: a batch has %d and takes %s", row, p.Size, took)
		}
	})
}

func TestABatchSomebodyWaitedForMakesTheNextOneHalf(t *testing.T) {
	p := backfill.NewPace(time.Second, 1000, 8000)
	if p = p.After(time.Millisecond, true); p.Size != 4000 {
		t.Errorf("the next batch has %d rows, want 4000", p.Size)
	}
	if p = p.After(time.Millisecond, false); p.Size != 5000 {
		t.Errorf("then one of %d, want 5000", p.Size)
	}
}

func TestWhatSpeaksAgainstABatchHoldsIt(t *testing.T) {
	well := backfill.App{Requests: 1000, Slow: 10, Limit: time.Second}
	for _, c := range []struct {
		strain database.Strain
		app    backfill.App
		waited time.Duration
		want   string
	}{
		{database.Strain{}, well, 0, ""},
		{database.Strain{}, backfill.App{}, 0, ""},
		{database.Strain{}, backfill.App{Requests: 10, Slow: 10}, 0, ""},
		{database.Strain{}, backfill.App{Requests: 100, Slow: 6, Limit: time.Second}, 0, "6 of 100 requests took longer than 1s"},
		{database.Strain{Lag: 11 * time.Second}, well, 0, "a replica is 11s behind"},
		{database.Strain{Lag: 11 * time.Second}, well, time.Hour, "a replica is 11s behind"},
		{database.Strain{Waiting: 2}, well, 0, ""},
		{database.Strain{Waiting: 3}, well, 0, "3 sessions wait"},
		{database.Strain{Vacuumed: true}, well, 0, "autovacuum"},
		{database.Strain{Vacuumed: true}, well, 11 * time.Minute, ""},
	} {
		got := backfill.Holds(c.strain, c.app, c.waited)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v, %+v after %s: %q, want %q", c.strain, c.app, c.waited, got, c.want)
		}
	}
}

func TestTheRateCountsWaitingAndSaysWhatIsLeft(t *testing.T) {
	if rate, left := backfill.Rate(1000, 5000, 10*time.Second); rate != 100 || left != 40*time.Second {
		t.Errorf("%v rows a second, %s left", rate, left)
	}
	if rate, left := backfill.Rate(0, 5000, time.Second); rate != 0 || left != 0 {
		t.Errorf("before the first batch: %v, %s", rate, left)
	}
}
