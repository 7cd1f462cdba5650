package plugin

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// A SettingError says which of a plug-in's settings is wrong, so that whoever
// has the file can say where that is.
type SettingError struct {
	Path  []string // keys, and positions from 0 in lists; empty is the settings as a whole
	Err   error
	Known []string // the keys there are, when Path ends with one that is not
}

// Error implements error.
func (e *SettingError) Error() string {
	if len(e.Path) == 0 {
		return e.Err.Error()
	}
	return strings.Join(e.Path, ".") + ": " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *SettingError) Unwrap() error { return e.Err }

// At says that err is of a setting: "p95", "paths.1.weight".
func At(path string, err error) error { return below(strings.Split(path, "."), err) }

// below puts err's setting below another one.
func below(path []string, err error) error {
	if inner, ok := errors.AsType[*SettingError](err); ok {
		return &SettingError{Path: append(slices.Clone(path), inner.Path...), Err: inner.Err, Known: inner.Known}
	}
	return &SettingError{Path: path, Err: err}
}

// Decode fills what into points to from settings. A key that is not there and
// a value of another type are a [SettingError] with their place. A type that
// reads JSON by itself may return one with a place below its own.
func Decode(raw json.RawMessage, into any) error {
	return set(raw, reflect.ValueOf(into).Elem())
}

func set(raw json.RawMessage, v reflect.Value) error {
	if own, ok := v.Addr().Interface().(*json.RawMessage); ok { // for which null is something
		*own = bytes.Clone(raw)
		return nil
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	switch own := v.Addr().Interface().(type) {
	case json.Unmarshaler:
		return own.UnmarshalJSON(raw)
	case encoding.TextUnmarshaler:
		return scalar(raw, v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return set(raw, v.Elem())
	case reflect.Struct:
		return setFields(raw, v)
	case reflect.Slice:
		return setItems(raw, v)
	case reflect.Map:
		return setEntries(raw, v)
	}
	return scalar(raw, v)
}

func setFields(raw json.RawMessage, v reflect.Value) error {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return unlike("a mapping", raw)
	}
	fields := map[string]int{}
	var known []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = i
			known = append(known, name)
		}
	}
	for _, key := range keys(entries) {
		i, ok := fields[key]
		if !ok {
			return &SettingError{Path: []string{key}, Known: known, Err: ship.Errorf(ship.Invalid, "", "unknown key %q", key)}
		}
		if err := set(entries[key], v.Field(i)); err != nil {
			return below([]string{key}, err)
		}
	}
	return nil
}

func setItems(raw json.RawMessage, v reflect.Value) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return unlike("a list", raw)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		if err := set(item, v.Index(i)); err != nil {
			return below([]string{strconv.Itoa(i)}, err)
		}
	}
	return nil
}

func setEntries(raw json.RawMessage, v reflect.Value) error {
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		return unlike("a mapping", raw)
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, key := range keys(entries) {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := set(entries[key], item); err != nil {
			return below([]string{key}, err)
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), item)
	}
	return nil
}

func scalar(raw json.RawMessage, v reflect.Value) error {
	err := json.Unmarshal(raw, v.Addr().Interface())
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok {
		return err
	}
	switch v.Kind() {
	case reflect.Bool:
		return unlike("true or false", raw)
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		return unlike("a whole number", raw)
	case reflect.Float64:
		return unlike("a number", raw)
	}
	return unlike("text", raw)
}

// mostQuoted bounds what of a wrong value is shown.
const mostQuoted = 40

func unlike(want string, raw json.RawMessage) error {
	found := string(raw)
	switch found[0] {
	case '{':
		found = "a mapping"
	case '[':
		found = "a list"
	}
	if len(found) > mostQuoted {
		found = fmt.Sprintf("%d characters", len(found))
	}
	return ship.Errorf(ship.Invalid, "", "expected %s, found %s", want, found)
}

// keys are sorted, so that of two problems the same is told every time.
func keys(entries map[string]json.RawMessage) []string {
	all := make([]string, 0, len(entries))
	for key := range entries {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
