package ship

import "time"

// A Condition is something that must be so before a contract may be carried
// out, with what is known of it.
type Condition struct {
	Name     string         `json:"name"` // "released", "backfilled", "window", "unused", "independent"
	State    ConditionState `json:"state"`
	Evidence string         `json:"evidence"`       // a sentence with what was seen
	At       time.Time      `json:"at,omitzero"`    // when it will be met if nothing happens until then; zero is not known
	Uses     []string       `json:"uses,omitempty"` // what uses or needs the old shape
	Next     string         `json:"next,omitempty"` // what somebody has to do for it to be met
}

// A ConditionState says whether a condition is met.
type ConditionState string

// The states of a condition. What cannot be known is not met; a person may
// pass it by, with a reason.
const (
	Met     ConditionState = "met"
	NotMet  ConditionState = "not met"
	Unknown ConditionState = "unknown"
)

// A Waiting migration is pending and of phase contract: it is not carried out
// by the run that deploys its release, but by a run of its own.
type Waiting struct {
	Migration  Migration   `json:"migration"`
	Conditions []Condition `json:"conditions,omitempty"` // where somebody looked
}
