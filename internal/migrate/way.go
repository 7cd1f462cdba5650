package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Way takes a migration up or down by a command of the project.
type Way struct {
	Down    bool
	Command Command // its name and its time-out are filled in
	// Observe looks at what the command left when nobody saw how it ended, and
	// gives the facts as a clause.
	Observe func(ctx context.Context) (State, string, error)
	// Reason finds in what the command wrote to standard error why it failed.
	Reason func(stderr []byte) string
}

func (w Way) String() string {
	if w.Down {
		return "down"
	}
	return "up"
}

// attempts is how often a command is begun that was cut off and, by what the
// database shows, did nothing.
const attempts = 3

// Go runs the command under a name that is the same whenever it is asked for,
// so that a command under way is waited for and not begun again.
func (w Way) Go(ctx context.Context, p Project, m ship.Migration) error {
	wanted, untouched := StateApplied, StateNotApplied
	if w.Down {
		wanted, untouched = untouched, wanted
	}
	for attempt := 1; ; attempt++ {
		c := w.Command
		c.Timeout = p.Timeout
		c.Name = fmt.Sprintf("migrate-%s-%s", w, m.ID)
		if attempt > 1 {
			c.Name = fmt.Sprintf("%s.%d", c.Name, attempt)
		}
		res, err := p.Runner.Run(ctx, c)
		if err != nil {
			return fmt.Errorf("running %s: %w", strings.Join(c.Argv, " "), err)
		}
		hint := "shiplock logs --job " + c.Name
		if !res.Unknown {
			if res.Code == 0 {
				return nil
			}
			return ship.Errorf(ship.MigrationFailed, hint, "migration %s failed going %s (exit code %d): %s", m.ID, w, res.Code, w.Reason(res.Stderr))
		}
		state, facts, err := w.Observe(ctx)
		if err != nil {
			return err
		}
		if state == wanted {
			return nil
		}
		if state != untouched || attempt == attempts {
			return ship.Errorf(ship.MigrationFailed, hint, "migration %s was cut off going %s and is now %s: %s", m.ID, w, state, facts)
		}
	}
}
