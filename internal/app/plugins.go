package app

import (
	"encoding/json"

	"github.com/shiplock/shiplock/internal/builtin"
	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/deploy"
	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/migrate"
	"github.com/shiplock/shiplock/internal/node"
	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/platform/process"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// plugins opens what settings name.
type plugins struct{ options Options }

func (p *plugins) deps(r deploy.Resolver) plugin.Deps {
	d := plugin.Deps{Log: p.options.Log, DataDir: p.options.State}
	if r != nil {
		d.Resolve = r.Resolve
	}
	return d
}

// Platform opens a platform. The process platform of settings that name no
// node is that of this machine.
func (p *plugins) Platform(s ship.Plugin) (platform.Platform, error) {
	if s.Kind == "process" && len(s.Config) == 0 {
		b, err := json.Marshal(process.Config{Socket: node.Socket(p.options.NodeDir())})
		if err != nil {
			return nil, err
		}
		s.Config = b
	}
	return builtin.Platforms().Open(s, p.deps(nil))
}

func (p *plugins) Database(kind string, cfg database.Config) (database.Database, error) {
	return builtin.Databases().Open(kind, cfg, p.deps(nil))
}

func (p *plugins) Tool(s ship.Plugin) (migrate.Tool, error) {
	return builtin.Tools().Open(s, p.deps(nil))
}

func (p *plugins) Gate(s ship.Plugin, r deploy.Resolver) (gate.Gate, error) {
	return builtin.Gates().Open(s, p.deps(r))
}

func (p *plugins) Notifier(s ship.Plugin, r deploy.Resolver) (notify.Notifier, error) {
	return builtin.Notifiers().Open(s, p.deps(r))
}
