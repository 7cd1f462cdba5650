package pipeline

import (
	"slices"

	"github.com/shiplock/shiplock/internal/ship"
)

// Migrations compares the migrations that two releases carry, by their ids.
// Changed are those that have the same id and other contents.
func Migrations(older, newer ship.Release) (added, changed, gone []string) {
	had := map[string]string{}
	for _, m := range older.Migrations {
		had[m.ID] = m.Checksum
	}
	for _, m := range newer.Migrations {
		sum, was := had[m.ID]
		switch {
		case !was:
			added = append(added, m.ID)
		case sum != m.Checksum:
			changed = append(changed, m.ID)
		}
		delete(had, m.ID)
	}
	for _, m := range older.Migrations {
		if _, left := had[m.ID]; left {
			gone = append(gone, m.ID)
		}
	}
	return added, changed, gone
}

// Arrived returns the entry with which a release came to serve last, and the
// one that served before it; nil where there is none.
func Arrived(history []ship.Deployed, release int) (came, before *ship.Deployed) {
	for i := range history {
		switch {
		case came == nil && history[i].Release == release:
			came = &history[i]
		case came != nil && history[i].Release == release:
			came = &history[i] // deployed more than once in a row
		case came != nil:
			return came, &history[i]
		}
	}
	return came, nil
}

// Order returns environments as releases go through them: what others come
// after first, otherwise as they are given.
func Order(envs []ship.Environment) []ship.Environment {
	var out []ship.Environment
	var place func(env ship.Environment)
	place = func(env ship.Environment) {
		out = append(out, env)
		for _, next := range envs {
			if next.After == env.ID.Name {
				place(next)
			}
		}
	}
	for _, env := range envs {
		first := func(e ship.Environment) bool { return e.ID.Name == env.After }
		if env.After == "" || !slices.ContainsFunc(envs, first) { // or what it comes after is not there
			place(env)
		}
	}
	for _, env := range envs { // settings of different times may lead in a circle
		if !slices.ContainsFunc(out, func(e ship.Environment) bool { return e.ID == env.ID }) {
			out = append(out, env)
		}
	}
	return out
}
