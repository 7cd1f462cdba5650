package api

import (
	"net/http"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func (s *server) backup(w http.ResponseWriter, r *http.Request) error {
	var in wire.Backup
	if err := read(r, &in); err != nil {
		return err
	}
	if err := s.asks(r, wish{"backup", in.Environment.ID, "", ""}); err != nil {
		return err
	}
	path, err := s.Engine.BackUp(r.Context(), ship.Request{Verb: "backup", Environment: in.Environment})
	if err != nil {
		return err
	}
	return write(w, wire.Backup{Environment: in.Environment, Path: path})
}

func (s *server) backups(w http.ResponseWriter, r *http.Request) error {
	var in wire.Backup
	if err := read(r, &in); err != nil {
		return err
	}
	all, err := s.Engine.Copies(in.Environment)
	if err != nil {
		return err
	}
	out := make([]wire.Copy, len(all))
	for i, c := range all {
		out[i] = copied(c)
	}
	return write(w, out)
}

func copied(c deploy.Copy) wire.Copy {
	return wire.Copy{Path: c.Path, Run: c.Run, Release: c.Release, Kind: c.Info.Kind, Size: c.Info.Size, At: c.Info.At}
}

func (s *server) restore(w http.ResponseWriter, r *http.Request) error {
	var in wire.Backup
	if err := read(r, &in); err != nil {
		return err
	}
	req := ship.Request{Verb: "restore", Environment: in.Environment}
	if in.Preview {
		return s.preview(w, r, req, in)
	}
	if err := s.asks(r, wish{"restore", in.Environment.ID, "", in.Path}); err != nil {
		return err
	}
	kept, err := s.Engine.Restore(r.Context(), req, in.Path)
	if err != nil {
		return err
	}
	return write(w, wire.Backup{Environment: in.Environment, Path: in.Path, Kept: kept})
}

// preview tells what a restore would lose. That it cannot be told is no
// failure: a person may want the restore all the more.
func (s *server) preview(w http.ResponseWriter, r *http.Request, req ship.Request, in wire.Backup) error {
	c, wrote, err := s.Engine.Lost(r.Context(), req, in.Path)
	if k := ship.KindOf(err); err != nil && k != ship.Inconclusive && k != ship.Unreachable {
		return err
	}
	of := copied(c)
	out := wire.Backup{Environment: in.Environment, Path: in.Path, Preview: true, Copy: &of}
	if err != nil {
		out.Untold = err.Error()
	}
	for _, t := range wrote {
		out.Written = append(out.Written, wire.Wrote{Table: t.Table, Rows: t.Rows})
	}
	return write(w, out)
}
