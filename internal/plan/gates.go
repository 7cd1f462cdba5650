package plan

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/ship"
)

// gates returns the steps of the gates that are asked before anything is
// changed, or of those that are asked of the running candidate. Going back asks
// none: the release passed them when it was deployed, and a window that is
// closed must not keep it away.
func gates(f Facts, running bool) []ship.Step {
	if f.Request.Verb == ship.VerbRollback {
		return nil
	}
	var steps []ship.Step
	for _, g := range f.Request.Environment.Gates {
		if g.Running != running {
			continue
		}
		s := step(Gate, g.Name+" must pass before anything is changed", "nothing was changed; the old release serves", g.Timeout)
		if running {
			s.Reason = g.Name + " must pass before users get to the release"
			s.OnFail = "the candidate and its logs are kept for study; the old release serves"
		}
		s.Name = "gate " + g.Name
		s.Params = params(GateParams{Gate: g})
		steps = append(steps, s)
	}
	return steps
}

// gatesRefused says why gates that need the running candidate cannot be asked.
func gatesRefused(f Facts, route string) *ship.Refusal {
	running := gates(f, true)
	switch {
	case len(running) == 0 || migratesOnly(f):
		return nil
	case route == "hold":
		return &ship.Refusal{
			Kind:   ship.Invalid,
			Reason: fmt.Sprintf("%s asks the running release, and requests cannot wait at the proxy for so long", running[0].Name),
			Hint:   fmt.Sprintf("shiplock deploy %s --accept maintenance, or take the gate out of the environment", f.Request.Environment.ID.Name),
		}
	case f.Request.Environment.Run.Processes[ship.Web].Instances == 0:
		return &ship.Refusal{
			Kind:   ship.Invalid,
			Reason: fmt.Sprintf("%s asks the running release, which has no web process", running[0].Name),
			Hint:   "take the gate out of the environment",
		}
	}
	return nil
}

// gateNotes tells of gates that are not asked.
func gateNotes(f Facts) []string {
	all := f.Request.Environment.Gates
	switch {
	case len(all) == 0:
		return nil
	case f.Request.Verb == ship.VerbRollback:
		return []string{fmt.Sprintf("gates are not asked (%s): going back is to a release that was deployed before", gateNames(all))}
	case !migratesOnly(f):
		return nil
	}
	var left []ship.Gate
	for _, g := range all {
		if g.Running {
			left = append(left, g)
		}
	}
	if len(left) == 0 || f.Request.Options.Backfill != "" {
		return nil
	}
	return []string{fmt.Sprintf("gates that ask the running release are not asked (%s): none is started", gateNames(left))}
}

func gateNames(all []ship.Gate) string {
	text := ""
	for _, g := range all {
		if text != "" {
			text += ", "
		}
		text += g.Name
	}
	return text
}
