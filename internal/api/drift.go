package api

import (
	"net/http"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// drift compares a database with what the applied migrations of a release make
// of an empty one; release 0 is the one that serves.
func (s *server) drift(w http.ResponseWriter, r *http.Request) error {
	var in wire.Drift
	if err := read(r, &in); err != nil {
		return err
	}
	rel, err := s.serving(r.Context(), in.Environment.ID, in.Release)
	if err != nil {
		return err
	}
	found, err := s.Engine.Drift(r.Context(), ship.Request{Verb: "schema diff", Environment: in.Environment, Release: rel})
	if err != nil {
		return err
	}
	in.Release, in.Migrations, in.Unknown = rel.Number, found.Migrations, found.Unknown
	in.Differences = []wire.Drifted{}
	for _, d := range found.Differences {
		state := "changed"
		switch {
		case d.After == "" && d.Before != "":
			state = "missing"
		case d.Before == "" && d.After != "":
			state = "extra"
		}
		in.Differences = append(in.Differences, wire.Drifted{State: state, Kind: d.Kind, Name: d.Name, Expected: d.Before, Found: d.After, Why: d.Why})
	}
	return write(w, in)
}
