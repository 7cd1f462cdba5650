package plan

import (
	"encoding/json"
	"fmt"

	"github.com/shiplock/shiplock/internal/ship"
)

// GateParams are the parameters of a [Gate] step.
type GateParams struct {
	Gate ship.Gate `json:"gate"`
}

// MigrateParams are the parameters of a [Migrate] step.
type MigrateParams struct {
	IDs     []string `json:"ids"`
	Revert  bool     `json:"revert"`  // completed migrations are taken back when the run fails
	Restore bool     `json:"restore"` // writes were closed before the backup: it may be put back
}

// BackfillParams are the parameters of a [Backfill] step.
type BackfillParams struct {
	Names []string `json:"names"`
}

// ContractParams are the parameters of a [Contract] step.
type ContractParams struct {
	IDs      []string `json:"ids"`
	Override bool     `json:"override,omitempty"` // a person passes by what is not met
}

// ShiftParams are the parameters of a [Shift] step.
type ShiftParams struct {
	Watch  ship.Limits  `json:"watch"`
	Stages []ship.Stage `json:"stages,omitempty"` // before all requests
	// NoWayBack says why the old release must not get the traffic back, "" when
	// it may.
	NoWayBack string `json:"no_way_back,omitempty"`
}

func params(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // our own plain data
	}
	return b
}
