package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/shiplock/shiplock/internal/load"
	"github.com/shiplock/shiplock/internal/ship"
)

// An outcome is what came of one deployment.
type outcome struct {
	ship.Result
	serving string        // the release that answers now, as the shop itself says
	during  load.Snapshot // the load from the deployment's beginning to its end
}

// judge says what came of a deployment. It does not take the engine's word for
// who serves: it has asked.
func (r *run) judge(rel Release, o outcome) {
	said, during := o.Reason, o.during
	if o.Kind == "" {
		said = rel.Name + " serves"
	}
	back := o.Kind == ship.RolledBack && o.serving == good
	if o.Kind == ship.RolledBack {
		r.summary.Rollbacks++
	}
	switch {
	case rel.Fault == Errors:
		faults := during.Failed["500"].Count
		r.faults += faults
		r.say("%s; %d of %d requests saw the fault", said, faults, during.Sent)
		r.summary.claim(back, "5 % errors: rolled back", "%d of %d requests were errors%s", faults, during.Sent, r.model())
	case rel.Fault == Slow:
		r.say("%s", said)
		r.summary.claim(back, "p95 of 3 s: rolled back", "%s", said)
	case rel.Migrations > 2:
		r.unsafe(o, said)
	default:
		r.say("%s; %d of %d requests failed", said, during.Lost(), during.Sent)
		r.summary.claim(o.Kind == "" && o.serving == good && during.Lost() == 0 && during.Sent > 0,
			"migrate and swap under load: no request failed", "%d of %d failed", during.Lost(), during.Sent)
	}
}

func (r *run) unsafe(o outcome, said string) {
	if o.Kind == ship.Refused {
		r.summary.Refused++
		said = "refused: " + said
	}
	untouched := o.serving == good && o.during.Lost() == 0 && (o.Schema == "" || o.Schema == ship.SchemaUnchanged)
	r.say("%s", said)
	r.summary.claim(o.Kind == ship.Refused && untouched, "unsafe migration: refused before any change", "%s", said)
}

// good is the release that serves in the end.
const good = "v2"

const askTimeout = 10 * time.Second

// serving asks the shop which release it is.
func (r *run) serving(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.o.Place.Listen+"/healthz", nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "nobody", nil //nolint:nilerr // a claim that is broken, not a demonstration that is
	}
	defer resp.Body.Close()
	return resp.Header.Get("X-Release"), nil
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
