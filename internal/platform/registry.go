package platform

import "github.com/shiplock/shiplock/internal/plugin"

// A Registry holds every kind of platform a program was built with.
type Registry = plugin.Registry[Platform]

// Register teaches r a kind of platform, given its constructor.
func Register[C any, P Platform](r *Registry, kind string, build func(C, plugin.Deps) (P, error)) {
	plugin.Register(r, kind, build, func(p P) Platform { return p })
}
