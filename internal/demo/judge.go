package demo

import (
	"context"
	"fmt"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/ship"
)

// judge says what came of one deployment. during is the load from its
// beginning to its end.
func (r *run) judge(rel Release, res ship.Result, during load.Snapshot) {
	switch res.Kind {
	case ship.RolledBack:
		r.summary.Rollbacks++
	case ship.Invalid:
		r.summary.Refused++
	}
	said := res.Reason
	if res.Kind == "" {
		said = fmt.Sprintf("%s serves", rel.Name)
	}
	switch {
	case rel.Fault == Errors:
		faults := during.Failed["500"].Count
		r.faults += faults
		r.say("%s; %d of %d requests saw the fault", said, faults, during.Sent)
		r.summary.claim(res.Kind == ship.RolledBack, "5 % errors: rolled back", "%d of %d requests were errors%s", faults, during.Sent, r.model())
	case rel.Fault == Slow:
		r.say("%s; p95 was %s", said, during.P95.Round(1e6))
		r.summary.claim(res.Kind == ship.RolledBack, "p95 of 3 s: rolled back", "%s", answer(res))
	case rel.Migrations > 2:
		r.say("refused: %s", said)
		r.summary.claim(res.Kind == ship.Invalid && during.Lost() == 0, "unsafe migration: refused before any change", "%s", answer(res))
	default:
		r.say("%s; %d of %d requests failed", said, during.Lost(), during.Sent)
		r.summary.claim(res.Kind == "" && during.Lost() == 0 && during.Sent > 0, "migrate and swap under load: no request failed",
			"%d of %d failed", during.Lost(), during.Sent)
	}
}

func answer(res ship.Result) string {
	if res.Kind == "" {
		return "it passed"
	}
	return res.Reason
}

// model compares with a check that looks four times, a minute apart. It is
// arithmetic, not a measurement, and says so.
func (r *run) model() string {
	return fmt.Sprintf(" (model: four checks a minute apart would have let %.0f through)", r.o.Rate/errorEvery*4*60)
}

// conclude compares what the load generator knows with what the shop wrote.
func (r *run) conclude(ctx context.Context, total load.Snapshot) error {
	s := &r.summary
	s.Requests = total.Sent
	// Whatever failed is lost, except the errors that v3 answered by design.
	s.Lost = total.Lost() - r.faults
	s.claim(s.Lost == 0 && total.Skipped == 0, "no request lost, whatever was deployed", "%s", total)
	taken, twice, err := r.orders(ctx)
	if err != nil {
		return err
	}
	s.claim(twice == 0 && taken >= total.Posts && total.Posts > 0, "no order lost, none taken twice",
		"%d answered, %d in the database, %d twice", total.Posts, taken, twice)
	return nil
}

func (r *run) orders(ctx context.Context) (taken, twice int64, err error) {
	db, err := openDB(r.o.Place.DB())
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	row := db.QueryRowContext(ctx, "SELECT count(DISTINCT id), count(*) - count(DISTINCT id) FROM orders")
	if err := row.Scan(&taken, &twice); err != nil {
		return 0, 0, fmt.Errorf("count the orders: %w", err)
	}
	return taken, twice, nil
}
