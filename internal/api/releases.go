package api

import (
	"fmt"
	"net/http"
	"os"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

func pid() int { return os.Getpid() }

func (s *server) hasArtifact(_ http.ResponseWriter, r *http.Request) error {
	if !s.Artifacts.Has(r.PathValue("digest")) {
		return ship.Errorf(ship.NotFound, "", "no artifact %s", r.PathValue("digest"))
	}
	return nil
}

// maxArtifact bounds an upload.
const maxArtifact = 8 << 30

func (s *server) putArtifact(w http.ResponseWriter, r *http.Request) error {
	a, err := s.Artifacts.Put(r.Context(), r.PathValue("digest"), http.MaxBytesReader(w, r.Body, maxArtifact))
	if err != nil {
		return err
	}
	return write(w, a)
}

func (s *server) addRelease(w http.ResponseWriter, r *http.Request) error {
	var in wire.NewRelease
	if err := read(r, &in); err != nil {
		return err
	}
	if err := s.asks(r, wish{"release", ship.EnvironmentID{App: in.App}, in.By, in.Digest}); err != nil {
		return err
	}
	m, err := s.Artifacts.Manifest(in.Digest)
	if err != nil {
		return err
	}
	if m.App != in.App {
		return ship.Errorf(ship.Invalid, "pack the tree of "+in.App, "%s is an artifact of %s", in.Digest, m.App)
	}
	a, err := s.Artifacts.Stat(in.Digest)
	if err != nil {
		return err
	}
	a.Commit, a.Dirty = m.Commit, m.Dirty
	rel, err := s.Store.AddRelease(r.Context(), ship.Release{App: in.App, Artifact: a, Migrations: m.Migrations, CreatedBy: in.By})
	if err != nil {
		return err
	}
	came(r, fmt.Sprintf("v%d", rel.Number))
	return write(w, rel)
}

func (s *server) releases(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Store.Releases(r.Context(), r.URL.Query().Get("app"))
	if err != nil {
		return err
	}
	return write(w, all)
}
