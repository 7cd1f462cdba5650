package ship

import "time"

// A Freeze is a time in which nothing is deployed to an environment: once, from
// "2026-12-20 18:00" to "2027-01-04 08:00", or every week, from "fri 16:00" to
// "mon 08:00". Times are those of Zone, or have an offset of their own, as in
// "2026-12-20T18:00:00+01:00".
type Freeze struct {
	From   string `json:"from"`
	To     string `json:"to"` // no longer frozen
	Zone   string `json:"zone,omitempty"`
	Reason string `json:"reason"`
}

// A Lock keeps deployments away from an environment until it is unlocked, or
// until its time is over.
type Lock struct {
	Environment EnvironmentID `json:"environment"`
	Reason      string        `json:"reason"`
	By          string        `json:"by"`
	At          time.Time     `json:"at"`
	Until       time.Time     `json:"until,omitzero"` // zero is until it is unlocked
}
