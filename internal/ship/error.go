package ship

import (
	"errors"
	"fmt"
)

// A Kind says what sort of failure an [Error] is, for the program that has to
// act on it: the CLI maps it to an exit code, the API to an HTTP status.
type Kind string

// The kinds of failure.
const (
	Internal        Kind = "internal"         // a fault of ours
	Invalid         Kind = "invalid"          // usage, configuration or input is wrong
	NotFound        Kind = "not_found"        // what was named does not exist
	Failed          Kind = "failed"           // failed before the swap; the old release serves
	RolledBack      Kind = "rolled_back"      // the new release was taken back; the old one serves
	Refused         Kind = "refused"          // the plan may not be carried out; nothing was changed
	GateFailed      Kind = "gate_failed"      // a gate said no
	Rejected        Kind = "rejected"         // a person said no, or nobody said yes in time
	Inconclusive    Kind = "inconclusive"     // no evidence either way; the run is held
	Locked          Kind = "locked"           // not now: somebody else holds the environment, it is locked or frozen, or it is too early
	Unreachable     Kind = "unreachable"      // server, node or database cannot be reached or says no to us
	MigrationFailed Kind = "migration_failed" // a migration failed or its state is unknown
	Interrupted     Kind = "interrupted"      // the caller stopped waiting; the run goes on
	Fenced          Kind = "fenced"           // a newer epoch owns what we wanted to change
)

// An Error is a failure somebody acts on: Kind is for the program, Hint (the
// next command to type, or what to change) for the person.
type Error struct {
	Kind Kind
	Hint string
	Err  error
}

// Errorf returns an Error of the given kind. The format may use %w.
func Errorf(kind Kind, hint, format string, args ...any) *Error {
	return &Error{Kind: kind, Hint: hint, Err: fmt.Errorf(format, args...)}
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns what e wraps.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err: that of the outermost [Error] in its chain,
// or [Internal].
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// HintOf returns the hint of the outermost [Error] in err's chain, or "".
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}
