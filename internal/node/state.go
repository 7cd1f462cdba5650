package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
	"github.com/shiplock/shiplock/internal/atomicfile"
	"github.com/shiplock/shiplock/internal/deadline"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/proxy"
	"github.com/shiplock/shiplock/internal/ship"
)

// stateVersion is the version of the state file this program writes and the
// highest it reads.
const stateVersion = 1

// state is everything the node has to remember to go on after it was killed.
// Values of secrets are not in it: see secrets.go. Times are absolute, so that
// a bound is kept whatever happened in between.
type state struct {
	Version      int                  `json:"version"`
	Revision     int64                `json:"revision"` // grows with every change
	Environments map[string]*envState `json:"environments"`
}

// envState is what is remembered of one environment.
type envState struct {
	ID      ship.EnvironmentID `json:"id"`
	Epoch   int64              `json:"epoch"` // the highest ever granted
	Grantee string             `json:"grantee,omitempty"`
	Grant   *grant             `json:"grant,omitempty"` // nil when released

	Active     ship.Slot                `json:"active,omitempty"`
	ActiveRun  string                   `json:"active_run,omitempty"` // run that shifted last
	Slots      map[ship.Slot]*slotState `json:"slots"`
	WorkersOff bool                     `json:"workers_off,omitempty"`

	Mode  modeState    `json:"mode"`
	Split *splitState  `json:"split,omitempty"`
	Old   *oldState    `json:"old,omitempty"`
	Watch *watchState  `json:"watch,omitempty"`
	Told  ship.Receipt `json:"receipt,omitzero"`
	// Latched are the runs whose release was taken back here, and why.
	Latched map[string]string `json:"latched,omitempty"`
	// LatchedLast are the names of the latched runs, the last one last.
	LatchedLast []string `json:"latched_last,omitempty"`
}

// grant is a run's right to change an environment.
type grant struct {
	Claim ship.Claim `json:"claim"`
	Since time.Time  `json:"since"`
	Until time.Time  `json:"until"`
}

// modeState is how requests are treated, and until when.
type modeState struct {
	Mode              ship.Mode     `json:"mode"`
	deadline.Deadline               // of a hold
	For               time.Duration `json:"for,omitempty"`
	Text              string        `json:"text,omitempty"`
	Then              ship.Mode     `json:"then,omitempty"` // what a hold ends in that nobody ended
}

// slotState is a release in a slot. It stays when the slot is stopped, so that
// its logs and how it ended can be looked at.
type slotState struct {
	Spec       platform.Spec             `json:"spec"`
	Run        string                    `json:"run"`
	Generation string                    `json:"generation"`
	Dir        string                    `json:"dir"`
	Venv       string                    `json:"venv,omitempty"`
	Started    bool                      `json:"started"`           // its setup is done and its processes should run
	Stopped    bool                      `json:"stopped,omitempty"` // it was running and is not to be any more
	Since      time.Time                 `json:"since"`
	Instances  map[string]*instanceState `json:"instances,omitempty"`
}

// instanceState is one process of a slot, with what it takes to know it again.
type instanceState struct {
	Process  string    `json:"process"`
	Number   int       `json:"number"`
	Port     int       `json:"port,omitempty"`
	State    string    `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Start    uint64    `json:"start,omitempty"` // field 22 of /proc/PID/stat
	Boot     string    `json:"boot,omitempty"`
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	Exit     string    `json:"exit,omitempty"`
	ExitAt   time.Time `json:"exit_at,omitzero"`
}

// oldState is the slot that was active before the last shift.
type oldState struct {
	Slot       ship.Slot     `json:"slot"`
	Generation string        `json:"generation"`
	At         time.Time     `json:"at"`
	Drain      time.Duration `json:"drain"`
	LongLived  time.Duration `json:"long_lived,omitempty"` // Drain of streams; 0 is Drain
	Drained    bool          `json:"drained"`
	Keep       time.Time     `json:"keep"` // until then it stays warm
}

// splitState sends a share of the requests to a slot that is not the active
// one.
type splitState struct {
	To      ship.Slot `json:"to"`
	Percent float64   `json:"percent"`
	Sticky  bool      `json:"sticky,omitempty"`
}

// watchState is the guard of the last shift, with all that it may do: it needs
// nobody to go through the stages, to give traffic back, or to end.
type watchState struct {
	Run        string       `json:"run"`
	Slot       ship.Slot    `json:"slot"` // that is guarded
	Generation string       `json:"generation"`
	Back       ship.Slot    `json:"back"` // where traffic goes when it fails; "" when there is no way back
	Limits     ship.Limits  `json:"limits"`
	Began      time.Time    `json:"began"`
	Verdict    ship.Verdict `json:"verdict"`
	Shifted    bool         `json:"shifted"` // traffic was given back

	Stages    []ship.Stage  `json:"stages,omitempty"`
	Stage     int           `json:"stage,omitempty"` // the one in force; len(Stages) when all are over
	Since     time.Time     `json:"since"`           // of the stage
	Sticky    bool          `json:"sticky,omitempty"`
	Drain     time.Duration `json:"drain"`
	LongLived time.Duration `json:"long_lived,omitempty"` // Drain of streams; 0 is Drain
	KeepOld   time.Duration `json:"keep_old"`

	Config  analysis.Config           `json:"config"`
	Base    map[string]proxy.Counters `json:"base,omitempty"` // what was counted before, by generation
	Until   time.Time                 `json:"until"`
	Healthy bool                      `json:"healthy,omitempty"`
	Quiet   string                    `json:"quiet,omitempty"`
	Held    bool                      `json:"held,omitempty"`
	Alert   string                    `json:"alert,omitempty"`
	After   string                    `json:"after,omitempty"`
}

// staged tells whether the slot that is guarded does not get all requests yet.
func (w *watchState) staged() bool { return w != nil && w.Stage < len(w.Stages) }

// waits tells whether the watch goes on.
func (w *watchState) waits() bool { return w != nil && w.Verdict.Outcome == ship.Wait }

// maxLatched is how many runs stay latched. A run that many others were taken
// back after is long over.
const maxLatched = 100

// latch refuses every later shift of a run, and forgets the oldest of many.
func (e *envState) latch(run, why string) {
	if e.Latched == nil {
		e.Latched = map[string]string{}
	}
	e.Latched[run] = why
	e.LatchedLast = append(slices.DeleteFunc(e.LatchedLast, func(other string) bool { return other == run }), run)
	e.LatchedLast = e.LatchedLast[max(len(e.LatchedLast)-maxLatched, 0):]
	for other := range e.Latched {
		if len(e.Latched) > maxLatched && !slices.Contains(e.LatchedLast, other) {
			delete(e.Latched, other)
		}
	}
}

func (e *envState) slot(s ship.Slot) *slotState {
	if e == nil || s == "" {
		return nil
	}
	return e.Slots[s]
}

// stateFile holds the state in memory and on disk. Who reads gets a snapshot
// that nobody changes; who changes gets a copy that replaces it whole.
type stateFile struct {
	path string
	mu   sync.Mutex
	now  *state
	owed bool // what is in force has not reached the disk
}

func loadState(path string) (*stateFile, error) {
	f := &stateFile{path: path, now: &state{Version: stateVersion, Environments: map[string]*envState{}}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	const hint = "the file is never thrown away by itself: restore it, or move it aside and stop the instances it named"
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, ship.Errorf(ship.Internal, hint, "state file %s cannot be read: %w", path, err)
	}
	if s.Version < 1 || s.Version > stateVersion {
		return nil, ship.Errorf(ship.Internal, hint, "state file %s has version %d, this program reads 1 to %d", path, s.Version, stateVersion)
	}
	if s.Environments == nil {
		return nil, ship.Errorf(ship.Internal, hint, "state file %s names no environments", path)
	}
	f.now = s
	return f, nil
}

// read returns the state as it is. Nobody may change it.
func (f *stateFile) read() *state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// env returns an environment as it is, or nil when it was never seen.
func (f *stateFile) env(id ship.EnvironmentID) *envState { return f.read().Environments[id.String()] }

// change lets edit change a copy of an environment, and puts it in force when
// it has reached the disk. When edit fails nothing is changed.
func (f *stateFile) change(id ship.EnvironmentID, edit func(*envState) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := f.edited(id, edit)
	if err != nil {
		return err
	}
	if err := f.write(next); err != nil {
		return err
	}
	f.now = next
	return nil
}

// errOwed says that a change is in force although it was not written.
var errOwed = errors.New("in force, and not recorded yet")

// insist is change for what cannot wait for a disk: people would wait with it.
// A change that cannot be written is in force all the same and owed to the
// disk; a node that is killed before [stateFile.pay] comes to the same change
// again by itself.
func (f *stateFile) insist(id ship.EnvironmentID, edit func(*envState) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := f.edited(id, edit)
	if err != nil {
		return err
	}
	err = f.write(next)
	f.now = next
	if err != nil {
		f.owed = true
		return fmt.Errorf("%w: %w", errOwed, err)
	}
	return nil
}

// pay writes what is owed to the disk.
func (f *stateFile) pay() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.owed {
		return nil
	}
	return f.write(f.now)
}

// edited returns the state with an environment changed; mu is held.
func (f *stateFile) edited(id ship.EnvironmentID, edit func(*envState) error) (*state, error) {
	next := &state{Version: stateVersion, Revision: f.now.Revision + 1, Environments: maps.Clone(f.now.Environments)}
	e, err := copyEnv(next.Environments[id.String()], id)
	if err != nil {
		return nil, err
	}
	if err := edit(e); err != nil {
		return nil, err
	}
	next.Environments[id.String()] = e
	return next, nil
}

// write has a state reach the disk, and with it whatever was owed; mu is held.
func (f *stateFile) write(s *state) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := atomicfile.Write(f.path, data, 0o600); err != nil {
		return fmt.Errorf("record state: %w", err)
	}
	f.owed = false
	return nil
}

func copyEnv(old *envState, id ship.EnvironmentID) (*envState, error) {
	e := &envState{ID: id, Mode: modeState{Mode: ship.Serving}, Slots: map[ship.Slot]*slotState{}}
	if old == nil {
		return e, nil
	}
	data, err := json.Marshal(old)
	if err != nil {
		return nil, fmt.Errorf("copy state: %w", err)
	}
	if err := json.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("copy state: %w", err)
	}
	return e, nil
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// raise makes the next revision higher than one that was seen elsewhere.
func (f *stateFile) raise(revision int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.Revision < revision {
		next := *f.now
		next.Revision = revision
		f.now = &next
	}
}
