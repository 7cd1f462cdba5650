package database

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// BeginFill returns the progress a batch begins from: what is kept, or that of
// a backfill that was never begun. One whose file changed after rows were done
// by it is refused; before, it simply begins with the new file.
func BeginFill(kept Progress, b Batch, f ship.Fence) (Progress, error) {
	switch {
	case kept.Checksum != "" && kept.Checksum != b.Checksum && kept.Touched():
		return kept, ship.Errorf(ship.Refused, "put the file back as it was and write what is new as a backfill of its own",
			"%s was changed after run %s had done rows by it", b.Name, kept.Run)
	case kept.Status == FillDone:
		return kept, ship.Errorf(ship.Refused, "", "%s is done", b.Name)
	case kept.Checksum != b.Checksum:
		kept = Progress{Name: b.Name, Checksum: b.Checksum, Pass: 1, Began: time.Now().UTC()}
	}
	kept.Status, kept.Note, kept.Run, kept.Epoch = FillRunning, "", f.Run, f.Epoch
	return kept, nil
}

// Touched tells whether a page was done.
func (p Progress) Touched() bool { return p.Cursor != nil || p.Pass > 1 || p.Status == FillDone }

// Advance returns the progress after a page that ended with the key upto.
func Advance(p Progress, b Batch, upto []string, done Filled) Progress {
	p.Size, p.Rate = b.Limit, b.Rate
	p.Cursor = upto
	p.Rows += done.Rows
	p.Seen += done.Seen
	p.Batches++
	return p
}
