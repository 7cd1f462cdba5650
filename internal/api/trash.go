package api

import (
	"net/http"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// trash lists what is kept of what migrations dropped, or what of it was
// brought back or deleted.
func (s *server) trash(w http.ResponseWriter, r *http.Request) error {
	var in wire.Trash
	if err := read(r, &in); err != nil {
		return err
	}
	if in.Undrop || in.Purge {
		w := wish{"undrop", in.Environment.ID, in.By, in.What}
		if in.Purge {
			w.action = "purge"
		}
		if err := s.asks(r, w); err != nil {
			return err
		}
	}
	req := ship.Request{Verb: "undrop", Environment: in.Environment, By: in.By}
	all, err := s.Engine.Trash(r.Context(), req)
	switch {
	case in.Undrop && in.What == "":
		return ship.Errorf(ship.Invalid, "", "it is not said what is to be brought back")
	case err != nil:
		return err
	case in.Undrop:
		all, err = s.Engine.Undrop(r.Context(), req, in.What)
	case in.Purge:
		all, err = s.Engine.PurgeTrash(r.Context(), req, in.What)
	}
	if err != nil {
		return err
	}
	out := make([]wire.Trashed, len(all))
	for i, t := range all {
		out[i] = wire.Trashed{
			ID: t.ID, Name: t.Name(), Table: t.Table, Column: t.Column, Migration: t.Migration, Run: t.Run, Status: t.Status, Key: t.Key,
			Rows: t.Rows, Size: t.Size, Returned: t.Returned, Notes: t.Notes, By: t.By, BackAt: t.BackAt, At: t.At, Until: t.Until,
		}
		for _, p := range t.Parts {
			out[i].Definition = append(out[i].Definition, p.SQL)
		}
	}
	return write(w, out)
}
