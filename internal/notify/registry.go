package notify

import "github.com/shiplock/shiplock/internal/plugin"

// A Registry holds every kind of notifier a program was built with.
type Registry = plugin.Registry[Notifier]

// Register teaches r a kind of notifier, given its constructor.
func Register[C any, P Notifier](r *Registry, kind string, build func(C, plugin.Deps) (P, error)) {
	plugin.Register(r, kind, build, func(p P) Notifier { return p })
}
