package gate

import (
	"encoding/json"
	"log/slog"
	"reflect"

	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Registry holds every kind of gate a program was built with.
type Registry = plugin.Registry[Gate]

// Register teaches r a kind of gate, given its constructor, which asks nothing
// of the world: it is called to see whether settings are right, too.
func Register[C any, P Gate](r *Registry, kind string, build func(C, plugin.Deps) (P, error)) {
	plugin.Register(r, kind, build, func(p P) Gate { return p })
}

// A Kind is what is known of a kind of gate before one is opened.
type Kind struct {
	Settings reflect.Type
	Check    func(settings json.RawMessage) error
	Running  bool // its gates are visitors
	Alone    bool // its gates are loners
}

// Kinds returns what r knows of each kind.
func Kinds(r *Registry) map[string]Kind {
	all := map[string]Kind{}
	for _, kind := range r.Kinds() {
		all[kind] = Kind{
			Settings: r.Settings(kind),
			Running:  r.Can(kind, reflect.TypeFor[Visitor]()),
			Alone:    r.Can(kind, reflect.TypeFor[Loner]()),
			Check: func(settings json.RawMessage) error {
				_, err := r.Open(ship.Plugin{Kind: kind, Config: settings}, plugin.Deps{Log: slog.New(slog.DiscardHandler)})
				return err
			},
		}
	}
	return all
}
