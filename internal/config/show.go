package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shiplock/shiplock/internal/ship"
)

// Show returns the effective configuration of an environment as YAML. Every
// setting is there, defaults included; references are not resolved, and what
// stands literally where a secret belongs is hidden.
func Show(env ship.Environment) ([]byte, error) {
	data, err := yaml.MarshalWithOptions(shown("", reflect.ValueOf(env)), yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("show environment %s: %w", env.ID, err)
	}
	return data, nil
}

// ShowJSON is Show as JSON.
func ShowJSON(env ship.Environment) (json.RawMessage, error) {
	text, err := Show(env)
	if err != nil {
		return nil, err
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("show environment %s: %w", env.ID, err)
	}
	return data, nil
}

// secretName matches names whose values are not for everybody's eyes.
var secretName = regexp.MustCompile(`(?i)(password|passwd|secret|token|credential|api_?key|private_?key|^key$)`)

// shown returns v as YAML shall show it. Name is the key it stands under.
func shown(name string, v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return durationText(x)
	case json.RawMessage:
		return shownSettings(name, x)
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return i
		}
		f, _ := x.Float64() // a number of JSON is a float
		return f
	}
	switch v.Kind() {
	case reflect.String:
		return hidden(name, v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return shown(name, v.Elem())
	case reflect.Struct:
		return shownStruct(v)
	case reflect.Map:
		return shownMap(v)
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, shown(name, v.Index(i)))
		}
		return list
	}
	return v.Interface()
}

// shownSettings returns the settings of a plug-in, which are text to us.
func shownSettings(name string, data json.RawMessage) any {
	var settings any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(&settings) != nil || settings == nil {
		return nil
	}
	return shown(name, reflect.ValueOf(settings))
}

func shownStruct(v reflect.Value) yaml.MapSlice {
	out := yaml.MapSlice{}
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		if key == "" || key == "-" || emptyBlock(f) {
			continue
		}
		name := key
		if f.Type() == reflect.TypeFor[string]() {
			name = "" // never a secret by its name: the path of a key is not the key
		}
		out = append(out, yaml.MapItem{Key: key, Value: shown(name, f)})
	}
	return out
}

// emptyBlock tells whether v says nothing: a text, list or block that is not
// there. Numbers, durations and flags always say something.
func emptyBlock(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Pointer:
		return v.IsNil()
	}
	return false
}

func shownMap(v reflect.Value) yaml.MapSlice {
	items := map[string]any{}
	for _, key := range v.MapKeys() {
		if item := v.MapIndex(key); item.Kind() != reflect.Interface || !item.IsNil() {
			items[key.String()] = shown(key.String(), item)
		}
	}
	out := yaml.MapSlice{}
	for _, key := range slices.Sorted(maps.Keys(items)) {
		out = append(out, yaml.MapItem{Key: key, Value: items[key]})
	}
	return out
}

// hidden hides what in a text is a secret by itself. A text that is made of
// references alone shows nothing and stays.
func hidden(name, text string) string {
	literal := text
	for _, ref := range Names(ship.Value(text)) {
		literal = strings.ReplaceAll(literal, "${"+ref+"}", "")
	}
	if literal != "" && secretName.MatchString(name) {
		return "***"
	}
	return Redact(text)
}

// durationText writes a duration as the file would have it.
func durationText(d time.Duration) string {
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
