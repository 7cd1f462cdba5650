package proxy

import (
	"time"

	"github.com/shiplock/shiplock/internal/analysis"
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

// A Query asks for the traffic of an environment.
type Query struct {
	Environment ship.EnvironmentID `json:"environment"`
	// Generation is the one whose news are waited for, and whose failures are
	// wanted.
	Generation string        `json:"generation,omitempty"`
	Seen       int64         `json:"seen,omitempty"`    // Traffic.News of the last answer
	Within     time.Duration `json:"within,omitempty"`  // the answer waits for news no longer; at most a minute
	Seconds    int           `json:"seconds,omitempty"` // so many of the last seconds are wanted
}

// Traffic is what is known of the traffic of an environment.
type Traffic struct {
	PID         int                 `json:"pid"`
	Started     time.Time           `json:"started"` // of the worker
	Environment EnvironmentStatus   `json:"environment"`
	News        int64               `json:"news"` // grows with every failed and every slow request of the generation
	Crowd       analysis.Crowd      `json:"crowd"`
	Failures    []Failure           `json:"failures,omitempty"` // of the generation: the first ones and the last ones
	Seconds     map[string][]Second `json:"seconds,omitempty"`  // by generation, oldest first
	// Others are the statuses of the workers that were relieved. A worker
	// leaves it empty: whoever knows them fills it in.
	Others []Status `json:"-"`
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
	Limited     int64                       `json:"limited"`     // requests sent away by the rate limit, since it was set
	Generations map[string]GenerationStatus `json:"generations"` // also those that left the table and are still busy
}

// A GenerationStatus is the traffic of one generation of a backend.
type GenerationStatus struct {
	Slot     ship.Slot `json:"slot"`
	InFlight int64     `json:"in_flight"`  // admitted and not ended, long-lived ones included
	Probes   int64     `json:"probes"`     // health requests let through while others are not
	Lasting  int64     `json:"long_lived"` // of InFlight: WebSocket and event streams
	// Left is InFlight by protocol.
	Left     map[ship.Protocol]int64 `json:"left,omitempty"`
	Draining bool                    `json:"draining"` // takes no new requests
	Drained  bool                    `json:"drained"`  // was draining and will never see another request
	Counters Counters                `json:"counters"`
}

// Counters count the requests that ended. Requests counts neither what was cut
// by a drain nor what was given up by the client. Latency counts whole answers
// of the application, from admission to the last byte, without the time the
// client was waited for; those that lasted (WebSocket, event stream) have no
// part in it. Timed are those of them that were no errors. They are Slow as
// soon as they take longer than Environment.SlowerThan, also when they never
// end.
type Counters struct {
	Requests int64     `json:"requests"`
	Classes  [6]int64  `json:"classes"`          // by status class: [2] counts 200…299
	Errors   int64     `json:"errors"`           // 5xx, no answer, answer broken off
	Counted  int64     `json:"counted"`          // of Errors: see analysis.Clients
	NoAnswer int64     `json:"no_answer"`        // of Errors: the application could not be reached or hung up
	Late     int64     `json:"late"`             // of Errors: no answer in time
	Broken   int64     `json:"broken"`           // of Errors: the application broke off its answer
	Refused  int64     `json:"refused"`          // attempts that could not connect; each is an error unless an address of the same generation answered
	InARow   int64     `json:"refused_in_row"`   // requests in a row that could not connect, up to now
	Cut      int64     `json:"cut"`              // ended by a drain's deadline; not errors
	Aborted  int64     `json:"aborted"`          // the client went away (499); not errors
	Assets   int64     `json:"assets,omitempty"` // it answered for assets that its successor does not know; in no other counter
	Replayed int64     `json:"replayed"`         // requests tried again at another address
	Timed    int64     `json:"timed"`            // 0 when Environment.SlowerThan is
	Slow     int64     `json:"slow"`             // exactly, of Timed
	Slower   int64     `json:"slower"`           // of Timed: than Environment.ComparedWith
	Latency  Histogram `json:"latency"`
}

// A DrainReport counts what became of a generation's requests after it
// stopped being the active one. The fields are those of [ship.Receipt].
type DrainReport struct {
	InFlight  int64                         `json:"in_flight"`
	Drained   int64                         `json:"drained"`
	Cut       int64                         `json:"cut"`
	Lasting   int64                         `json:"lasting"` // of Cut: WebSocket and event streams
	Took      time.Duration                 `json:"took"`
	Protocols map[ship.Protocol]ship.Ending `json:"protocols,omitempty"`
	Left      map[ship.Protocol]int64       `json:"left,omitempty"` // while the drain goes on

	Admitted int64 `json:"admitted"`
	Finished int64 `json:"finished"`
	Lost     int64 `json:"lost"`
	GivenUp  int64 `json:"given_up"`
}
