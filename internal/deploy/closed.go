package deploy

import (
	"context"
	"fmt"
	"time"

	"github.com/shiplock/shiplock/internal/deadline"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// holdEvidence says when a hold ends by itself.
type holdEvidence struct {
	deadline.Deadline
}

// hold stops admitting requests and waits until none is under way. The bound
// is the platform's: when it is over the hold ends whatever we do.
func hold(ctx context.Context, w *work) (string, any, error) {
	budget := w.run.Request.Environment.Hold
	ev := holdEvidence{deadline.In(budget)}
	if !w.evidence(plan.Hold, &ev) {
		if err := w.note(ctx, ev); err != nil {
			return "", nil, err
		}
	}
	err := w.platform.SetMode(ctx, w.fence, w.env(), platform.ModeChange{Mode: ship.Holding, For: budget})
	if err != nil {
		return "", nil, err
	}
	if err := w.platform.StopWorkers(ctx, w.fence, w.env()); err != nil {
		return "", nil, err
	}
	took, err := w.idle(ctx, budget/4)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("requests wait; the old release was idle after %s", took), ev, nil
}

// left tells how much of the hold may still be used when a share of the whole
// is to remain, and whether there is a hold at all.
func (w *work) left(share float64) (time.Duration, bool) {
	var ev holdEvidence
	if !w.evidence(plan.Hold, &ev) {
		return 0, false
	}
	reserve := time.Duration(share * float64(w.run.Request.Environment.Hold))
	return ev.Left() - reserve, true
}

// closeBehind has a hold that is not ended in time end in maintenance: from
// now on the schema may no longer fit the release the requests would go to.
func (w *work) closeBehind(ctx context.Context) error {
	return w.platform.SetMode(ctx, w.fence, w.env(), platform.ModeChange{Mode: ship.Holding, For: w.run.Request.Environment.Hold, Then: ship.Maintenance})
}

// idle waits until no request is under way on the active slot.
func (w *work) idle(ctx context.Context, within time.Duration) (time.Duration, error) {
	begun := time.Now()
	for {
		obs, err := w.platform.Observe(ctx, w.env())
		if err != nil {
			return 0, err
		}
		n := obs.Slots[obs.Active].InFlight
		if n == 0 {
			return time.Since(begun).Round(time.Millisecond), nil
		}
		if time.Since(begun) > within {
			return 0, ship.Errorf(ship.Failed, "deploy at a quieter time, or raise hold", "%d requests were still under way after %s", n, within)
		}
		if err := sleep(ctx, pollEvery/5); err != nil {
			return 0, err
		}
	}
}

func unhold(ctx context.Context, w *work) (string, any, error) {
	return w.reopen(ctx, "the queue was let go")
}

func maintenance(ctx context.Context, w *work) (string, any, error) {
	err := w.platform.SetMode(ctx, w.fence, w.env(), platform.ModeChange{Mode: ship.Maintenance, For: time.Minute})
	if err != nil {
		return "", nil, err
	}
	if err := w.platform.StopWorkers(ctx, w.fence, w.env()); err != nil {
		return "", nil, err
	}
	took, err := w.idle(ctx, w.run.Request.Environment.Drain)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("the maintenance page is shown; the old release was idle after %s", took), nil, nil
}

func unmaintenance(ctx context.Context, w *work) (string, any, error) {
	return w.reopen(ctx, "the old release was opened again")
}

func (w *work) reopen(ctx context.Context, text string) (string, any, error) {
	return text, nil, w.insist(ctx, func() error {
		if err := w.platform.StartWorkers(ctx, w.fence, w.env()); err != nil {
			return err
		}
		return w.platform.SetMode(ctx, w.fence, w.env(), platform.ModeChange{Mode: ship.Serving})
	})
}

func open(ctx context.Context, w *work) (string, any, error) {
	obs, err := w.platform.Observe(ctx, w.env())
	if err != nil {
		return "", nil, err
	}
	err = w.insist(ctx, func() error {
		return w.platform.SetMode(ctx, w.fence, w.env(), platform.ModeChange{Mode: ship.Serving})
	})
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("open; %d requests had waited", obs.Waiting), nil, nil
}
