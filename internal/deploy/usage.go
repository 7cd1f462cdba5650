package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// usage says which statements used what contracts take away, as far as the
// database counts them. Each look is kept, and counts from the one before.
func (w *work) usage(ctx context.Context, all []ship.Migration) map[string]plan.Usage {
	c, ok := w.db.(database.Counter)
	if !ok {
		return nil
	}
	out := map[string]plan.Usage{}
	seen, err := c.Statements(ctx)
	for _, m := range all {
		var taken []sqltext.Taken
		for _, t := range plan.Takes(m, w.dialect()).Taken {
			if t.Used() {
				taken = append(taken, t)
			}
		}
		switch {
		case err != nil:
			out[m.ID] = plan.Usage{Missing: "the counted statements could not be read: " + w.mask.String(err.Error())}
		case m.SQL == "" && len(taken) == 0:
			out[m.ID] = plan.Usage{Missing: "its tool shows no SQL: what it takes away is not known"}
		case len(taken) == 0: // nothing that a statement names
		case seen.Missing != "":
			out[m.ID] = plan.Usage{Missing: seen.Missing, Next: seen.Next}
		default:
			out[m.ID] = w.lookAgain(m.ID, seen, taken)
		}
	}
	return out
}

// lookAgain compares what is counted now with the look before, and keeps it.
func (w *work) lookAgain(id string, seen database.Statements, taken []sqltext.Taken) plan.Usage {
	path := w.usageFile(id)
	before, err := readSample(path)
	if err != nil {
		return plan.Usage{Missing: err.Error(), Next: "rm " + path}
	}
	now := plan.Look(before, seen, taken)
	if err := keepSample(path, now); err != nil {
		w.e.Log.Warn("keep what was counted", "migration", id, "error", err)
	}
	return plan.Usage{At: now.At, Since: now.Since, Counted: len(seen.All), Used: now.Used, Next: now.Lost}
}

func (w *work) usageFile(id string) string {
	name := strings.NewReplacer("/", "-", string(filepath.Separator), "-", ":", "-").Replace(id)
	return filepath.Join(w.e.Dir, "usage", w.env().App, w.env().Name, name+".json")
}

func readSample(path string) (*plan.Sample, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nobody looked before
	}
	var s plan.Sample
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("what was counted before could not be read: %w", err)
	}
	return &s, nil
}

func keepSample(path string, s plan.Sample) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, text, 0o600)
}

// watchUsage begins to count what uses the contracts that a run left waiting.
func (w *work) watchUsage(ctx context.Context) {
	if w.db == nil || len(w.run.Plan.Waiting) == 0 {
		return
	}
	all := make([]ship.Migration, len(w.run.Plan.Waiting))
	for i, x := range w.run.Plan.Waiting {
		all[i] = x.Migration
	}
	w.usage(ctx, all)
}
