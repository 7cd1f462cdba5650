package wire

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Frozen is a freeze that holds.
type Frozen struct {
	Until  time.Time `json:"until,omitzero"`
	Reason string    `json:"reason"`
}

// Lock asks for an environment to be locked, for a time or until it is
// unlocked; as an answer to unlock, it is the lock there was, if Locked.
type Lock struct {
	ship.Lock

	For    time.Duration `json:"for,omitempty"` // 0 is until it is unlocked
	Locked bool          `json:"locked"`
}

// Judged says whether a run of a release may begin now.
type Judged struct {
	Release ship.Release `json:"release"`
	Outcome ship.Outcome `json:"outcome"` // "pass"; "wait": later, by itself; "fail"
	Kind    ship.Kind    `json:"kind,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Next    string       `json:"next,omitempty"`
	Until   time.Time    `json:"until,omitzero"` // when it may, if nothing else happens; zero is not known
}

// Told is a release with where it runs and what changed since the one before.
type Told struct {
	ship.Release

	RunsIn  []RunsIn `json:"runs_in,omitempty"`
	Since   int      `json:"since,omitempty"`   // the release before; 0 is none
	Added   []string `json:"added,omitempty"`   // migrations that it did not have
	Changed []string `json:"changed,omitempty"` // migrations that were other files there
	Gone    []string `json:"gone,omitempty"`    // migrations that are not there any more
	Set     []Set    `json:"settings,omitempty"`
	Commits []Commit `json:"commits,omitempty"` // newest first; where the repository is at hand
	Left    int      `json:"commits_left_out,omitempty"`
}

// RunsIn is an environment that a release serves.
type RunsIn struct {
	Environment string    `json:"environment"`
	Since       time.Time `json:"since,omitzero"`
	By          string    `json:"by,omitempty"`
}

// Set names the settings that changed in an environment when a release came to
// serve it.
type Set struct {
	Environment string   `json:"environment"`
	Names       []string `json:"names"`
}

// Commit is one commit, with the first line of its message.
type Commit struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}
