package proxy

import (
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Status is what a worker knows of the traffic. Counters only grow; they
// begin at zero with each generation and with each worker process.
type Status struct {
	Revision     int64                        `json:"revision"`
	PID          int                          `json:"pid"`
	Started      time.Time                    `json:"started"` // of the worker, which tells its counters from a predecessor's
	Retiring     bool                         `json:"retiring,omitempty"`
	Listeners    []string                     `json:"listeners"`
	Environments map[string]EnvironmentStatus `json:"environments"` // by EnvironmentID.String()
}

// An EnvironmentStatus is the traffic of one environment.
type EnvironmentStatus struct {
	Mode        ship.Mode                   `json:"mode"`
	Active      ship.Slot                   `json:"active,omitempty"`
	Generation  string                      `json:"generation,omitempty"` // the active one
	Split       *Split                      `json:"split,omitempty"`
	Waiting     int64                       `json:"waiting"`     // requests held now
	Held        int64                       `json:"held"`        // requests ever held
	Overflowed  int64                       `json:"overflowed"`  // requests sent away: queue full or waited too long
	Generations map[string]GenerationStatus `json:"generations"` // also those that left the table and are still busy
}

// A GenerationStatus is the traffic of one generation of a backend.
type GenerationStatus struct {
	Slot     ship.Slot `json:"slot"`
	InFlight int64     `json:"in_flight"`  // admitted and not ended, long-lived ones included
	Probes   int64     `json:"probes"`     // health requests let through while others are not
	Lasting  int64     `json:"long_lived"` // of InFlight: WebSocket and event streams
	Draining bool      `json:"draining"`   // takes no new requests
	Drained  bool      `json:"drained"`    // was draining and will never see another request
	Counters Counters  `json:"counters"`
}

// Counters count the requests that ended. Latency and Slow count whole answers
// of the application, from admission to the last byte: requests without an
// answer, those that were cut by a drain or given up by the client, and those
// that lasted (WebSocket, event stream) have no part in them. Requests counts
// neither what was cut nor what was given up.
type Counters struct {
	Requests int64     `json:"requests"`
	Classes  [6]int64  `json:"classes"`        // by status class: [2] counts 200…299
	Errors   int64     `json:"errors"`         // 5xx, no answer, answer broken off
	Refused  int64     `json:"refused"`        // attempts that could not connect; each is an error unless an address of the same generation answered
	InARow   int64     `json:"refused_in_row"` // requests in a row that could not connect, up to now
	Cut      int64     `json:"cut"`            // ended by a drain's deadline; not errors
	Aborted  int64     `json:"aborted"`        // the client went away (499); not errors
	Replayed int64     `json:"replayed"`       // requests tried again at another address
	Slow     int64     `json:"slow"`           // exactly those slower than Environment.SlowerThan
	Latency  Histogram `json:"latency"`
}

// A DrainReport counts what became of a generation's requests after it
// stopped being the active one.
type DrainReport struct {
	InFlight int64         `json:"in_flight"` // at the swap
	Drained  int64         `json:"drained"`   // ended by themselves
	Cut      int64         `json:"cut"`       // ended by the deadline
	Lasting  int64         `json:"lasting"`   // of Cut: WebSocket and event streams
	Took     time.Duration `json:"took"`
}
