package database

import (
	"errors"
	"slices"

	"github.com/shiplock/shiplock/internal/ship"
)

// ErrBusy is in the chain of an error that came of waiting too long for a lock
// that somebody else holds. Nothing was changed; trying again later may work.
var ErrBusy = errors.New("lock not granted in time")

// ErrTooLong is in the chain of an error that came of a statement that was
// ended because it took longer than it may. Nothing was changed.
var ErrTooLong = errors.New("took longer than it may")

// MaxRows and MaxRowsBytes bound what Rows returns: it is for small tables.
const (
	MaxRows      = 100_000
	MaxRowsBytes = 64 << 20
)

// ErrTooMuch is returned by Rows when an answer exceeds [MaxRows] or
// [MaxRowsBytes].
var ErrTooMuch = errors.New("the answer is too large")

// CheckWork refuses work that cannot be carried out as [ship.Work] defines it.
func CheckWork(w ship.Work) error {
	if !w.Atomic && len(w.Statements) > 1 {
		return ship.Errorf(ship.Internal, "", "work of %d statements outside a transaction; at most one can be recorded", len(w.Statements))
	}
	return nil
}

// Fenced returns the error of f's owner when a higher epoch has locked the
// database since.
func Fenced(f ship.Fence, epoch int64) error {
	return ship.Errorf(ship.Fenced, "a newer run owns the environment; look at it with shiplock status",
		"epoch %d has locked the database since, epoch %d of run %s may no longer change it", epoch, f.Epoch, f.Run)
}

// Ends tells whether w records the end of a migration: what a session carried
// over from one of its statements to the next has served its purpose then.
func Ends(w ship.Work) bool {
	return w.Atomic || slices.ContainsFunc(w.Record, func(r ship.Record) bool {
		return r.Status == ship.RecordDone || r.Status == ship.RecordFailed
	})
}
