package migrate

import "github.com/shiplock/shiplock/internal/plugin"

// A Registry holds every migration tool a program was built with.
type Registry = plugin.Registry[Tool]

// Register teaches r a migration tool, given its constructor.
func Register[C any, P Tool](r *Registry, kind string, build func(C, plugin.Deps) (P, error)) {
	plugin.Register(r, kind, build, func(p P) Tool { return p })
}
