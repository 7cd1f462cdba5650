package gate

import "github.com/shiplock/shiplock/internal/plugin"

// A Registry holds every kind of gate a program was built with.
type Registry = plugin.Registry[Gate]

// Register teaches r a kind of gate, given its constructor.
func Register[C any, P Gate](r *Registry, kind string, build func(C, plugin.Deps) (P, error)) {
	plugin.Register(r, kind, build, func(p P) Gate { return p })
}
