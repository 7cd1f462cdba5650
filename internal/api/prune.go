package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// prune deletes the artifacts of releases nobody needs any more. Their lines
// stay in the history; the same tree packed again is the same release.
func (s *server) prune(w http.ResponseWriter, r *http.Request) error {
	var in wire.Prune
	if err := read(r, &in); err != nil {
		return err
	}
	if in.App == "" || in.Keep < 1 {
		return ship.Errorf(ship.Invalid, "shiplock releases prune --keep 10", "name an app, and keep one release or more")
	}
	if !in.DryRun {
		if err := s.asks(r, wish{"prune", ship.EnvironmentID{App: in.App}, "", fmt.Sprintf("keep %d", in.Keep)}); err != nil {
			return err
		}
	}
	all, err := s.Store.Releases(r.Context(), in.App)
	if err != nil {
		return err
	}
	used, ledgers, err := s.needed(r.Context(), in.App)
	if err != nil {
		return err
	}
	gone, kept := plan.Prune(all, in.Keep, used, ledgers)
	out := wire.Prune{App: in.App, Keep: in.Keep, DryRun: in.DryRun, Deleted: []ship.Release{}}
	for _, rel := range gone {
		if !s.Artifacts.Has(rel.Artifact.Digest) {
			continue // deleted before
		}
		out.Deleted = append(out.Deleted, rel)
		if in.DryRun {
			continue
		}
		if err := s.Artifacts.Delete(rel.Artifact.Digest); err != nil {
			return err
		}
	}
	for _, k := range kept {
		out.Kept = append(out.Kept, wire.Kept{Release: k.Release.Number, Why: k.Why})
	}
	return write(w, out)
}

// needed finds out where releases serve, could serve again at once, or are
// about to, and what is applied in every database. All of it has to be known.
func (s *server) needed(ctx context.Context, app string) (used map[int]string, ledgers [][]ship.Record, err error) {
	used = map[int]string{}
	envs, err := s.Store.Environments(ctx, app)
	if err != nil {
		return nil, nil, err
	}
	for _, env := range envs {
		st, err := s.statusOf(ctx, env)
		if err != nil {
			return nil, nil, err
		}
		if st.State == "unreachable" {
			return nil, nil, ship.Errorf(ship.Unreachable, "shiplock status "+env.ID.Name, "what runs in %s is not known: %s; nothing was deleted", env.ID, st.Note)
		}
		for slot, in := range st.Observed.Slots {
			used[in.Release.Number] = fmt.Sprintf("is in slot %s of %s", slot, env.ID)
		}
		if st.Previous != nil {
			used[st.Previous.Number] = "is what a rollback of " + env.ID.String() + " goes to"
		}
		if st.Release != nil {
			used[st.Release.Number] = "serves " + env.ID.String()
		}
		ledger, err := s.Engine.Ledger(ctx, env)
		if err != nil {
			return nil, nil, ship.Errorf(ship.KindOf(err), ship.HintOf(err), "what is applied in %s is not known: %w; nothing was deleted", env.ID, err)
		}
		ledgers = append(ledgers, ledger)
	}
	for _, f := range []ship.RunFilter{{App: app, Open: true}, {App: app, Queued: true}} {
		runs, err := s.Store.Runs(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range runs {
			used[r.Request.Release.Number] = "is what run " + r.ID + " is about"
		}
	}
	return used, ledgers, nil
}
