package deploy_test

import (
	"context"
	"errors"
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
