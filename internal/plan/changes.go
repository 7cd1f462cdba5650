package plan

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/ship"
)

// changes lists the settings that differ, by their path in the environment.
// Values are references where the settings have references, so nothing secret
// shows.
func changes(from, to *ship.Environment) []ship.Change {
	if from == nil {
		return nil
	}
	before, after := flatten(from), flatten(to)
	var out []ship.Change
	for name, old := range before {
		if after[name] != old {
			out = append(out, ship.Change{Name: name, From: old, To: after[name]})
		}
	}
	for name, now := range after {
		if _, had := before[name]; !had {
			out = append(out, ship.Change{Name: name, To: now})
		}
	}
	slices.SortFunc(out, func(a, b ship.Change) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

func flatten(env *ship.Environment) map[string]string {
	b, err := json.Marshal(env)
	if err != nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil
	}
	out := map[string]string{}
	walk("", v, out)
	return out
}

func walk(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			walk(join(path, k), sub, out)
		}
	case []any:
		for i, sub := range v {
			walk(fmt.Sprintf("%s[%d]", path, i), sub, out)
		}
	case nil:
	default:
		out[path] = fmt.Sprint(v)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
