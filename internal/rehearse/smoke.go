package rehearse

import (
	"context"
	"fmt"

	"github.com/shiplock/shiplock/internal/ship"
)

// smokeBefore finds out whether the release that serves passes its own check
// on the copy: one that does not proves nothing afterwards.
func (r *rehearsal) smokeBefore(ctx context.Context, out *ship.Rehearsal) error {
	if r.Smoke == nil {
		return nil
	}
	failed, err := r.tried(ctx, "the copy")
	if err != nil {
		return err
	}
	out.Smoke = &ship.Smoked{Outcome: ship.Pass, Reason: "the release that serves passed its check on the copy before and after"}
	if len(failed) > 0 {
		out.Smoke = &ship.Smoked{Outcome: ship.NoConclusion, Reason: fmt.Sprintf(
			"the release that serves fails on the copy before any migration already: %s: %s", failed[0].Statement, failed[0].Message)}
	}
	r.smoke = out.Smoke
	return nil
}

// smokeAfter asks again after a migration, until the check has failed once.
func (r *rehearsal) smokeAfter(ctx context.Context, m ship.Migration) ([]ship.Breakage, error) {
	if r.smoke == nil || r.smoke.Outcome != ship.Pass {
		return nil, nil
	}
	failed, err := r.tried(ctx, "the copy after "+m.ID)
	if len(failed) > 0 {
		*r.smoke = ship.Smoked{Outcome: ship.Fail, Reason: fmt.Sprintf("the release that serves fails on the copy after %s: %s: %s", m.ID, failed[0].Statement, failed[0].Message)}
	}
	return failed, err
}

func (r *rehearsal) tried(ctx context.Context, where string) ([]ship.Breakage, error) {
	r.Progress("starting the release that serves on " + where)
	failed, err := r.Smoke(ctx, r.Shadow)
	if err != nil {
		return nil, fmt.Errorf("start the release that serves on %s: %w", where, err)
	}
	return failed, nil
}
