package wire

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// Backfills asks how far the backfills of a release are, or says it. Release 0
// is the one that serves. With Pause they are paused first.
type Backfills struct {
	Environment ship.Environment `json:"environment"`
	Release     int              `json:"release"`
	Pause       bool             `json:"pause,omitempty"`
	By          string           `json:"by,omitempty"`
	Backfills   []Backfill       `json:"backfills,omitempty"`
}

// Backfill is how far one backfill is.
type Backfill struct {
	Name    string    `json:"name"`
	Table   string    `json:"table"`
	Status  string    `json:"status"` // "" is not begun; "running", "paused", "stopped", "done"
	Note    string    `json:"note,omitempty"`
	Rows    int64     `json:"rows"`  // changed
	Seen    int64     `json:"seen"`  // in this pass
	Total   int64     `json:"total"` // about; 0 is unknown
	Rate    float64   `json:"rate"`  // rows seen a second
	Size    int       `json:"size"`  // rows of a batch
	Pass    int       `json:"pass"`
	Run     string    `json:"run,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Changed bool      `json:"changed,omitempty"` // the file is not the one by which rows were done
}
