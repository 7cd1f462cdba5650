package app

import (
	"context"
	"time"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/entry"
	"github.com/shiplock/shiplock/internal/release"
	"github.com/shiplock/shiplock/internal/ship"
)

// StartOptions say which process of which release is started.
type StartOptions struct {
	Environment ship.Environment
	Dir         string // the release's folder
	Process     string
	Wait        time.Duration // for the database, and for a replica that migrates
	Migrate     bool
	MigrateOnly bool
	Prepare     bool     // run the commands of run.prepare first
	Exclude     []string // patterns of what no release has
	By          string
}

// Start does what a release needs before its server starts, and becomes the
// server. It has no server of ours and no state: all it asks is the target
// database.
func Start(ctx context.Context, o Options, s StartOptions) error {
	p, ok := s.Environment.Run.Processes[s.Process]
	if !ok && !s.MigrateOnly {
		return ship.Errorf(ship.Invalid, "shiplock config show", "there is no process %q", s.Process)
	}
	said := map[string]bool{}
	told := func(name string) {
		if !said[name] {
			said[name] = true
			o.Log.InfoContext(ctx, "secret taken from the environment variable of its name", "name", name)
		}
	}
	resolver := func(env ship.Environment) (deploy.Resolver, error) {
		return config.NewEntryResolver(env.SecretsFile, o.Lookup, told)
	}
	r, err := resolver(s.Environment)
	if err != nil {
		return err
	}
	vars, err := deploy.Variables(s.Environment, r)
	if err != nil {
		return err
	}
	e := entry.New(s.Dir, config.Inherited(), vars)
	if s.Prepare {
		if err := e.Each(ctx, "prepare", s.Environment.Run.Prepare); err != nil {
			return err
		}
	}
	engine := deploy.Stateless(deploy.Config{Plugins: &plugins{options: o}, Dir: o.Dir, Log: o.Log, Holder: "shiplock start", Resolver: resolver})
	err = engine.Enter(ctx, deploy.Entry{
		Request: ship.Request{Verb: "start", Environment: s.Environment, Release: ship.Release{App: s.Environment.ID.App}, By: s.By},
		Dir:     s.Dir, Tree: release.Without(s.Dir, s.Exclude), Runner: e, Migrate: s.Migrate, Wait: s.Wait,
	})
	if err != nil || s.MigrateOnly {
		return err
	}
	if err := e.Each(ctx, "set up", s.Environment.Run.Setup); err != nil {
		return err
	}
	return e.Become(p.Command)
}
