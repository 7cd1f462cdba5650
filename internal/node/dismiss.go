package node

import (
	"context"
	"errors"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/failpoint"
	"github.com/shiplock/shiplock/internal/ship"
)

// dismiss carries out platform.Guardian's EndWatch. What is not proven by then
// is not a pass.
func (e *environment) dismiss(ctx context.Context, f ship.Fence, why string) error {
	var w watchState
	err := e.change(func(s *envState) error {
		if err := s.admit(f); err != nil {
			return err
		}
		if !s.Watch.waits() || s.Watch.Run != f.Run {
			return errUnchanged
		}
		w = *s.Watch
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err != nil {
		return err
	}
	j := analysis.Judgement{Outcome: ship.NoConclusion, Action: analysis.Promote, Healthy: w.Healthy, At: failpoint.Now(), Until: w.Until}
	switch g := e.guarding.Load(); {
	case w.Healthy:
		j.Outcome, j.Reason = ship.Pass, why+"; health was proven"
	case g != nil:
		j.Reason = why + "; " + g.soFar()
	default:
		j.Reason = why
	}
	return e.conclude(ctx, w, j)
}

// soFar says how the watch stood at the last look.
func (g *guard) soFar() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last.Reason
}
