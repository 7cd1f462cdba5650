package deploy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// journal keeps one run and how it was told to end; everything else would be a
// step, and none may run.
type journal struct {
	steps
	run ship.Run
}

type steps = interface{ deploy.Journal }

func (j *journal) Run(context.Context, string) (ship.Run, error) { return j.run, nil }

func (j *journal) SetStatus(_ context.Context, _ string, s ship.Status, r ship.Result) error {
	j.run.Status, j.run.Result = s, r
	return nil
}

func (j *journal) Journal(context.Context, string) ([]ship.Entry, error) { return nil, nil }

func (j *journal) TakeSignal(context.Context, string, string) (*ship.Signal, error) { return nil, nil }

func (j *journal) AddEvent(context.Context, ship.Event) error { return nil }

type (
	artifacts struct{ deploy.Artifacts }
	plugins   struct{ deploy.Plugins }
)

func (plugins) Platform(ship.Plugin) (platform.Platform, error) { return nil, errors.New("no node") }

func TestARunWhoseSecretsAreGoneSaysOnlyWhatItKnows(t *testing.T) {
	for was, want := range map[ship.Status]struct {
		status ship.Status
		schema ship.SchemaState
	}{
		ship.Planned: {ship.Broken, ship.SchemaUnchanged}, // it never began
		ship.Running: {ship.Paused, ship.SchemaUnknown},   // it may have migrated
		ship.Undoing: {ship.Paused, ship.SchemaUnknown},
	} {
		j := &journal{run: ship.Run{ID: "d-1-abcde", Status: was}}
		e, err := deploy.New(deploy.Config{
			Journal: j, Artifacts: artifacts{}, Plugins: plugins{},
			Resolver: func(ship.Environment) (deploy.Resolver, error) { return nil, errors.New("no secrets file") },
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Carry(t.Context(), "d-1-abcde")
		if err != nil || r.Status != want.status || r.Schema != want.schema || j.run.Status != want.status {
			t.Errorf("a %s run ended as %s, schema %s, %v; want %s, %s", was, r.Status, r.Schema, err, want.status, want.schema)
		}
	}
}

func TestAPausedRunIsAbortedAlthoughItsSecretsAreGone(t *testing.T) {
	s := newStage(t)
	if r := s.deploy(firstRelease(s)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	run := s.add(s.release("sha256:2", map[string]string{"00001_init.sql": initial, "00002_vat.sql": halfWay}))
	if r := s.carry(run.ID); r.Status != ship.Paused {
		t.Fatalf("the run ended as %s: %s", r.Status, r.Reason)
	}
	s.resolver = func(ship.Environment) (deploy.Resolver, error) { return nil, errors.New("no secrets file") }
	if r := s.carry(run.ID); r.Status != ship.Paused || !strings.Contains(r.Next, "shiplock abort "+run.ID) {
		t.Fatalf("without its secrets the run is %s, next %q", r.Status, r.Next)
	}
	if err := s.store.Signal(t.Context(), run.ID, ship.Signal{Name: "cancel", By: "bob"}); err != nil {
		t.Fatal(err)
	}
	r := s.carry(run.ID)
	if r.Status != ship.Aborted || r.Schema != ship.SchemaUnknown || r.Serving != 1 {
		t.Errorf("the run ended as %s, schema %s, v%d serves: %s", r.Status, r.Schema, r.Serving, r.Reason)
	}
	for _, want := range []string{"aborted by bob", "no secrets file"} {
		if !strings.Contains(r.Reason, want) {
			t.Errorf("the reason does not say %q: %s", want, r.Reason)
		}
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "the target database was not opened") {
		t.Errorf("the notes do not say what was not looked at:\n%s", notes)
	}
}

func TestARunThatHasBegunItsSwapIsNotAbortedUnseen(t *testing.T) {
	s := newStage(t)
	run := s.add(firstRelease(s))
	s.journal.broken = func(ship.Status) error { return errors.New("killed") }
	if _, err := s.engine.Carry(t.Context(), run.ID); err == nil {
		t.Fatal("the run ended although the server was killed")
	}
	s.journal.broken = nil
	s.resolver = func(ship.Environment) (deploy.Resolver, error) { return nil, errors.New("no secrets file") }
	if err := s.store.Signal(t.Context(), run.ID, ship.Signal{Name: "cancel", By: "bob"}); err != nil {
		t.Fatal(err)
	}
	if r := s.carry(run.ID); r.Status != ship.Paused {
		t.Errorf("the run is %s: %s", r.Status, r.Reason)
	}
}

func TestADatabaseThatCannotBeReachedInPreflightIsUnreachableAndLaterAFailure(t *testing.T) {
	s := newStage(t)
	s.env.Database.URL = ship.Value("sqlite:" + filepath.Join(s.dir, "no-such-folder", "shop.db"))
	r := s.deploy(firstRelease(s))
	if r.Status != ship.Broken || r.Kind != ship.Unreachable || r.Step != "preflight" || r.Schema != ship.SchemaUnchanged {
		t.Errorf("the run ended as %s (%s) at %s, schema %s: %s", r.Status, r.Kind, r.Step, r.Schema, r.Reason)
	}
	s = newStage(t)
	folder := filepath.Join(s.dir, "database")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.env.Database.URL = ship.Value("sqlite:" + filepath.Join(folder, "shop.db"))
	run := s.add(firstRelease(s))
	s.journal.after = func(kind string) {
		if kind == "preflight" {
			_ = os.RemoveAll(folder)
		}
	}
	if r := s.carry(run.ID); r.Kind != ship.Failed {
		t.Errorf("after preflight the run ended as %s (%s) at %s: %s", r.Status, r.Kind, r.Step, r.Reason)
	}
}
