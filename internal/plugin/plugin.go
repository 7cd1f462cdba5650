// Package plugin is the registry of kinds. A registry is a value filled by one
// explicit list; the package knows nothing of what a plug-in does.
package plugin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// Deps is what every plug-in is given besides its own settings.
type Deps struct {
	Log     *slog.Logger
	DataDir string // absolute; a folder the plug-in's family may use
	// Resolve replaces the references in a value. It fails when one cannot be
	// resolved, naming the reference and never another's text.
	Resolve func(ship.Value) (ship.Secret, error)
}

// A Registry holds the constructors of one family of plug-ins, by kind. The
// zero value is empty and ready to use.
type Registry[T any] struct {
	kinds map[string]entry[T]
}

// An entry is what is known of a kind.
type entry[T any] struct {
	open     func(json.RawMessage, Deps) (T, error)
	settings reflect.Type // C of [Register]
	plugin   reflect.Type // P
}

// Register teaches r a kind, given its constructor. C is the plug-in's own
// settings; a key it does not have is an error. P is the plug-in's own type:
// as turns it into what the family is used as.
func Register[T, C, P any](r *Registry[T], kind string, build func(C, Deps) (P, error), as func(P) T) {
	if r.kinds == nil {
		r.kinds = map[string]entry[T]{}
	}
	open := func(raw json.RawMessage, d Deps) (T, error) {
		var none T
		var cfg C
		if err := Decode(raw, &cfg); err != nil {
			return none, ship.Errorf(ship.Invalid, "shiplock config schema", "settings of %s: %w", kind, err)
		}
		p, err := build(cfg, d)
		if err != nil {
			return none, fmt.Errorf("%s: %w", kind, err)
		}
		return as(p), nil
	}
	r.kinds[kind] = entry[T]{open, reflect.TypeFor[C](), reflect.TypeFor[P]()}
}

// Open returns a plug-in of the kind p names.
func (r *Registry[T]) Open(p ship.Plugin, d Deps) (T, error) {
	e, ok := r.kinds[p.Kind]
	if !ok {
		var none T
		return none, ship.Errorf(ship.Invalid, "shiplock config schema",
			"unknown kind %q, known are %s", p.Kind, strings.Join(r.Kinds(), ", "))
	}
	return e.open(p.Config, d)
}

// Settings returns the type of a kind's settings, nil of an unknown one.
func (r *Registry[T]) Settings(kind string) reflect.Type { return r.kinds[kind].settings }

// Can tells whether the plug-ins of a kind have an ability, an interface that
// is optional in their family.
func (r *Registry[T]) Can(kind string, ability reflect.Type) bool {
	e, ok := r.kinds[kind]
	return ok && e.plugin.Implements(ability)
}

// Kinds returns the known kinds, sorted.
func (r *Registry[T]) Kinds() []string {
	kinds := make([]string, 0, len(r.kinds))
	for k := range r.kinds {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}
