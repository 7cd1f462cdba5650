package database

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Registry holds the constructors of databases, by kind. The zero value is
// empty and ready to use.
type Registry struct {
	kinds map[string]func(Config, plugin.Deps) (Database, error)
}

// Register teaches r a kind, given its constructor. D is not Database, so that
// constructors stay concrete and the compiler checks them where they are listed.
func Register[D Database](r *Registry, kind string, build func(Config, plugin.Deps) (D, error)) {
	if r.kinds == nil {
		r.kinds = map[string]func(Config, plugin.Deps) (Database, error){}
	}
	r.kinds[kind] = func(cfg Config, d plugin.Deps) (Database, error) {
		db, err := build(cfg, d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		return db, nil
	}
}

// Open returns a database of the given kind. It does not connect.
func (r *Registry) Open(kind string, cfg Config, d plugin.Deps) (Database, error) {
	build, ok := r.kinds[kind]
	if !ok {
		return nil, ship.Errorf(ship.Invalid, "shiplock config schema",
			"unknown kind of database %q, known are %s", kind, strings.Join(r.Kinds(), ", "))
	}
	return build(cfg, d)
}

// Kinds returns the known kinds, sorted.
func (r *Registry) Kinds() []string {
	kinds := make([]string, 0, len(r.kinds))
	for k := range r.kinds {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}
