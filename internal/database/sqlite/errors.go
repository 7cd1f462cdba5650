package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

func tableError(err error) error {
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return fmt.Errorf("%w: %w", database.ErrNoTable, err)
	}
	return err
}

// The primary result codes of SQLite that mean something to us.
const (
	codePerm     = 3
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeCorrupt  = 11
	codeCantOpen = 14
	codeNotADB   = 26

	primaryCode = 0xff // the bits of a code that hold it
)

func hasCode(err error, codes ...int) bool {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if failed.Code()&primaryCode == code {
			return true
		}
	}
	return false
}

// explain turns a failure to reach the file into a sentence. Other errors pass
// unchanged.
func (d *DB) explain(err error) error {
	if _, ok := errors.AsType[*ship.Error](err); ok || err == nil {
		return err
	}
	switch {
	case hasCode(err, codeNotADB, codeCorrupt):
		return ship.Errorf(ship.Unreachable, "restore it from a backup, or correct the URL", "the file %s is not a sound database: %w", d.path, err)
	case hasCode(err, codeCantOpen, codePerm, codeReadOnly):
		return ship.Errorf(ship.Unreachable, "give our user the right to read and write the file and its folder", "the database %s may not be opened: %w", d.path, err)
	case hasCode(err, codeBusy, codeLocked):
		return ship.Errorf(ship.MigrationFailed, "wait until the application's transaction has ended, then try again",
			"%w: another connection has %s locked for longer than %s: %w", database.ErrBusy, d.path, d.lockTimeout, err)
	}
	return err
}

// cleanup returns a context for what must be done even when ctx has ended.
func cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
}
