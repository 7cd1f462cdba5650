package pipeline_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestOnlyDeploymentsAndTheWayBackTakeThePlaceOfWhatWaits(t *testing.T) {
	for verb, want := range map[string]bool{ship.VerbDeploy: true, ship.VerbRollback: true, ship.VerbMigrate: false} {
		if got := pipeline.Supersedes(ship.Request{Verb: verb}); got != want {
			t.Errorf("%s supersedes: %v", verb, got)
		}
		if got := pipeline.MayWait(ship.Request{Verb: verb}); got != (verb == ship.VerbDeploy) {
			t.Errorf("%s may wait: %v", verb, got)
		}
	}
}

func TestARunThatPassedIsFollowedByWhatComesDirectlyAfter(t *testing.T) {
	env := func(name, after string, auto bool) ship.Environment {
		return ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: name}, After: after, Auto: auto}
	}
	next := []ship.Environment{env("staging", "dev", true), env("eu", "staging", true), env("us", "staging", true), env("hand", "dev", false)}
	run := ship.Run{ID: "d-7", Status: ship.Passed, Request: ship.Request{
		Verb: ship.VerbDeploy, Environment: env("dev", "", false), Release: ship.Release{App: "shop", Number: 5}, By: "dana", Next: next,
	}}
	got := pipeline.Followers(run)
	if len(got) != 1 {
		t.Fatalf("%d followers: %+v", len(got), got)
	}
	w := got[0]
	if w.Environment.ID.Name != "staging" || w.From != "dev" || !w.Auto || w.Release.Number != 5 || w.By != "dana" || w.Verb != ship.VerbDeploy || w.Key == "" {
		t.Errorf("%+v", w)
	}
	then := pipeline.Followers(ship.Run{ID: "d-8", Status: ship.Passed, Request: w})
	if names := []string{then[0].Environment.ID.Name, then[1].Environment.ID.Name}; !slices.Equal(names, []string{"eu", "us"}) || then[0].Key == then[1].Key {
		t.Errorf("after staging come %v", names)
	}
	for _, other := range []ship.Status{ship.Broken, ship.Aborted, ship.Superseded, ship.Paused, ship.Running} {
		if run.Status = other; len(pipeline.Followers(run)) > 0 {
			t.Errorf("a run that is %s is followed", other)
		}
	}
	run.Status, run.Request.Verb = ship.Passed, ship.VerbRollback
	if len(pipeline.Followers(run)) > 0 {
		t.Error("a rollback is followed")
	}
}

func TestAStayIsTheLastUnbrokenOne(t *testing.T) {
	all := []ship.Deployed{deployed(6, 5), deployed(5, 10), deployed(5, 20), rolledBack(4, 30), deployed(5, 40)}
	stay, ok := pipeline.Served(all, 5)
	if want := (pipeline.Stay{From: ago(20), To: ago(5), By: "d-1", Instead: 6}); !ok || stay != want {
		t.Errorf("%+v, want %+v", stay, want)
	}
	if stay, ok := pipeline.Served(all[3:], 5); !ok || !stay.TakenBack || stay.By != "d-2" {
		t.Errorf("%+v, want it taken back by d-2", stay)
	}
	if _, ok := pipeline.Served(all, 9); ok {
		t.Error("a release that never served did")
	}
}

func TestWhatChangedFromOneReleaseToTheNext(t *testing.T) {
	of := func(ids ...string) (r ship.Release) {
		for _, id := range ids {
			r.Migrations = append(r.Migrations, ship.Migration{ID: id[:1], Checksum: id})
		}
		return r
	}
	added, changed, gone := pipeline.Migrations(of("a1", "b1", "c1"), of("a1", "b2", "d1"))
	if diff := cmp.Diff([][]string{{"d"}, {"b"}, {"c"}}, [][]string{added, changed, gone}); diff != "" {
		t.Error(diff)
	}
	all := []ship.Deployed{deployed(6, 5), deployed(5, 10), deployed(5, 20), deployed(4, 30)}
	if came, before := pipeline.Arrived(all, 5); came != &all[2] || before != &all[3] {
		t.Errorf("v5 came as %+v after %+v", came, before)
	}
	if came, before := pipeline.Arrived(all, 4); came != &all[3] || before != nil {
		t.Errorf("v4 came as %+v after %+v", came, before)
	}
	if came, _ := pipeline.Arrived(all, 1); came != nil {
		t.Errorf("v1 came as %+v", came)
	}
}

// Every environment is there once, and after the one it comes after.
func TestEnvironmentsAreInTheOrderOfPromotion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "e"}
		var envs []ship.Environment
		for i, name := range names {
			after := ""
			if i > 0 && rapid.Bool().Draw(t, "after") {
				after = rapid.SampledFrom(append(slices.Clone(names[:i]), "gone")).Draw(t, "which")
			}
			envs = append(envs, ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: name}, After: after})
		}
		envs = rapid.Permutation(envs).Draw(t, "order")
		seen := map[string]bool{}
		for _, env := range pipeline.Order(envs) {
			if seen[env.ID.Name] || env.After != "" && env.After != "gone" && !seen[env.After] {
				t.Fatalf("%s comes too early or twice", env.ID.Name)
			}
			seen[env.ID.Name] = true
		}
		if len(seen) != len(names) {
			t.Fatalf("%d of %d are there", len(seen), len(names))
		}
	})
}
