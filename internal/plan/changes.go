package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

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

// Changed names the settings that differ between two environments, without their
// values.
func Changed(from, to ship.Environment) []string {
	var names []string
	for _, c := range changes(&from, &to) {
		names = append(names, c.Name)
	}
	return names
}

func flatten(env *ship.Environment) map[string]string {
	b, err := json.Marshal(env)
	if err != nil {
		return nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a large number stays as it was written
	if err := d.Decode(&v); err != nil {
		return nil
	}
	out := map[string]string{}
	walk("", v, out)
	times("", reflect.ValueOf(env), out)
	return out
}

// times writes the durations among the settings as people do, "20s" for
// 20000000000.
func times(path string, v reflect.Value, out map[string]string) {
	if d, ok := v.Interface().(time.Duration); ok {
		if _, shown := out[path]; shown {
			out[path] = d.String()
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			times(path, v.Elem(), out)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() && name != "" && name != "-" {
				times(join(path, name), v.Field(i), out)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			times(fmt.Sprintf("%s[%d]", path, i), v.Index(i), out)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			times(join(path, key.String()), v.MapIndex(key), out)
		}
	default:
	}
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
