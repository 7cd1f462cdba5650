package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/shiplock/shiplock/internal/ship"
)

// idForm is what the parts of an environment's name may be, as folders are
// named after them.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// An environment is what runs of one environment, as far as it is not state:
// its keepers, and who may change it now. A slot's lock is taken before the
// traffic lock, never after it.
type environment struct {
	n   *node
	id  ship.EnvironmentID
	dir string

	granting  sync.RWMutex           // held while a fence is granted, read while one is relied on
	preparing lock                   // one release at a time is prepared
	prepared  atomic.Pointer[string] // digest of the last one, until what is old was removed
	slots     map[ship.Slot]lock
	traffic   lock          // which slot is active, the mode, the workers
	wake      chan struct{} // something the minder looks at has changed
	alarm     chan struct{} // something bad happened that a guard looks at at once

	guarding atomic.Pointer[guard] // of the last watch; nil before the first

	mu      sync.Mutex
	keepers map[string]*keeper // by instance id
	logs    map[string]*logFile
}

func newEnvironment(n *node, id ship.EnvironmentID) *environment {
	return &environment{
		n: n, id: id, dir: filepath.Join(n.Dir, "apps", id.App, id.Name),
		preparing: newLock(), traffic: newLock(),
		slots:   map[ship.Slot]lock{ship.Blue: newLock(), ship.Green: newLock()},
		wake:    make(chan struct{}, 1),
		alarm:   make(chan struct{}, 1),
		keepers: map[string]*keeper{}, logs: map[string]*logFile{},
	}
}

// The folders of an environment. Those that hold secrets or logs are closed
// to everybody else; those a release runs from can be searched.
func (e *environment) releases() string { return filepath.Join(e.dir, "releases") }
func (e *environment) venvs() string    { return filepath.Join(e.dir, "venvs") }
func (e *environment) shared() string   { return filepath.Join(e.dir, "shared") }
func (e *environment) cache() string    { return filepath.Join(e.dir, "cache") }
func (e *environment) seals() string    { return filepath.Join(e.dir, "seals") }
func (e *environment) jobs() string     { return filepath.Join(e.dir, "jobs") }
func (e *environment) logDir() string   { return filepath.Join(e.dir, "logs") }
func (e *environment) secrets() string  { return filepath.Join(e.dir, "secrets") }

// runs is the folder of the named commands of a run.
func (e *environment) runs(run string) string { return filepath.Join(e.jobs(), "runs", run) }

// folders makes the environment's folders.
func (e *environment) folders() error {
	for dir := e.dir; dir != e.n.Dir; dir = filepath.Dir(dir) {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("make folders of %s: %w", e.id, err)
		}
	}
	for _, open := range []string{e.releases(), e.venvs(), e.shared(), e.cache()} {
		if err := os.MkdirAll(open, 0o711); err != nil {
			return fmt.Errorf("make folders of %s: %w", e.id, err)
		}
	}
	for _, closed := range []string{e.seals(), e.jobs(), e.logDir(), e.secrets()} {
		if err := os.MkdirAll(closed, 0o700); err != nil {
			return fmt.Errorf("make folders of %s: %w", e.id, err)
		}
	}
	return nil
}

// poke has the minder look at the environment again.
func (e *environment) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// raise has a guard look at the environment now.
func (e *environment) raise() {
	select {
	case e.alarm <- struct{}{}:
	default:
	}
}

func (e *environment) now() *envState { return e.n.state.env(e.id) }

func (e *environment) change(edit func(*envState) error) error { return e.n.state.change(e.id, edit) }

// insist is [stateFile.insist], which complains of what is owed to the disk.
func (e *environment) insist(edit func(*envState) error) error {
	err := e.n.state.insist(e.id, edit)
	if errors.Is(err, errOwed) {
		e.complain("a change is in force and could not be recorded", err)
		return nil
	}
	return err
}

// lockSlot takes the slot's lock.
func (e *environment) lockSlot(ctx context.Context, s ship.Slot) (func(), error) {
	l, ok := e.slots[s]
	if !ok {
		return nil, ship.Errorf(ship.Invalid, "", "%q is not a slot; slots are blue and green", s)
	}
	return l.take(ctx)
}

// A lock is a mutex whose taker may stop waiting.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// take takes the lock and returns what gives it back.
func (l lock) take(ctx context.Context) (func(), error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func checkID(id ship.EnvironmentID) error {
	for _, part := range []string{id.App, id.Name} {
		if !idForm.MatchString(part) {
			return ship.Errorf(ship.Invalid, "use letters, digits, '-', '_' and '.'", "%q cannot name an app or environment", part)
		}
	}
	return nil
}

// short names a digest's folder.
func short(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 16)]
}
