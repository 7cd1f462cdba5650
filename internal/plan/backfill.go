package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// Backfilling is a backfill of a release, and how far it is in the database.
type Backfilling struct {
	Name     string
	Checksum string
	Table    string
	Kept     database.Progress // zero when it was never begun
}

// What [ship.Options.Backfill] asks for.
const (
	BackfillRun    = "run"    // what is not done and not paused
	BackfillResume = "resume" // what is paused, too
)

// backfillTimeout bounds what takes as long as it takes.
const backfillTimeout = 30 * 24 * time.Hour

// done tells whether nothing is left to do, by the ledger or by what is kept.
func (b Backfilling) done(f Facts) bool {
	for _, r := range f.Ledger {
		if r.Migration == b.Name && r.Status == ship.RecordDone {
			return true
		}
	}
	return b.Kept.Status == database.FillDone
}

// backfills tells whether a run carries on the backfills of its release. A
// release that is gone back to has left them to the next, and a run that only
// migrates is for a release that does not serve yet.
func backfills(f Facts) bool {
	return f.Request.Verb == ship.VerbDeploy || f.Request.Options.Backfill != ""
}

// backfillSteps come after the watch: what a release does to its users is
// judged without the load of a backfill.
func backfillSteps(f Facts) []ship.Step {
	var p BackfillParams
	for _, b := range f.Backfills {
		if backfills(f) && !b.done(f) && !(b.Kept.Status == database.FillPaused && f.Request.Options.Backfill != BackfillResume) {
			p.Names = append(p.Names, b.Name)
		}
	}
	if len(p.Names) == 0 {
		return nil
	}
	s := step(Backfill, fmt.Sprintf("%d not done: %s; in small batches, beside the traffic", len(p.Names), strings.Join(p.Names, ", ")),
		"it stops and its cursor is kept; the new release goes on serving", backfillTimeout)
	s.Params = params(p)
	return []ship.Step{s}
}

func pausedNotes(f Facts) (notes []string) {
	for _, b := range f.Backfills {
		if backfills(f) && !b.done(f) && b.Kept.Status == database.FillPaused && f.Request.Options.Backfill != BackfillResume {
			notes = append(notes, fmt.Sprintf("%s stays paused (%s): shiplock migrate backfill resume %s", b.Name, b.Kept.Note, f.Request.Environment.ID.Name))
		}
	}
	return notes
}

// backfillsChanged refuses a release in which a backfill is not the one by
// which rows were done.
func backfillsChanged(f Facts) *ship.Refusal {
	if !backfills(f) {
		return nil
	}
	for _, b := range f.Backfills {
		checksum, run := "", b.Kept.Run
		if b.Kept.Touched() {
			checksum = b.Kept.Checksum
		}
		for _, r := range f.Ledger {
			if r.Migration == b.Name && r.Status == ship.RecordDone {
				checksum, run = r.Checksum, r.Run
			}
		}
		if checksum != "" && checksum != b.Checksum {
			return &ship.Refusal{
				Kind:   ship.Refused,
				Reason: fmt.Sprintf("%s was changed after run %s had done rows by it: what is in the database is not what %s says", b.Name, run, called(f.Request.Release)),
				Hint:   "put the file back as it was and write what is new as a backfill of its own",
			}
		}
	}
	return nil
}
