package config

import "reflect"

// Keys returns the path of every key of the structs of shiplock.yaml, names of
// things as "*".
func Keys() []string { return keys("", reflect.TypeFor[document]()) }

func keys(prefix string, t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keys(prefix, t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	if items, ok := t.FieldByName("Items"); ok && items.Type.Kind() == reflect.Map {
		return keys(prefix+"*/", items.Type.Elem())
	}
	var list []string
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("json"); name != "" && name != "-" {
			list = append(list, prefix+name)
			list = append(list, keys(prefix+name+"/", f.Type)...)
		}
	}
	return list
}

// BaseEnvironFrom is BaseEnviron with another environment.
func BaseEnvironFrom(lookup func(string) (string, bool)) []string { return baseEnviron(lookup) }
