package app

import (
	"context"

	"github.com/shiplock/shiplock/internal/config"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/ship"
)

// Enter does what a release needs before its server starts, without a server
// and without state of our own: all it asks is the target database.
func Enter(ctx context.Context, o Options, in deploy.Entry) error {
	p := &plugins{options: o}
	return deploy.Stateless(deploy.Config{
		Plugins: p, Dir: o.Dir, Log: o.Log, Holder: "shiplock start",
		Resolver: func(env ship.Environment) (deploy.Resolver, error) {
			return config.NewResolver(env.SecretsFile, o.Lookup)
		},
	}).Enter(ctx, in)
}
