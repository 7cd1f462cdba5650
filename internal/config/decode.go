package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A decoder fills structs from YAML nodes by their json tags, notes every
// problem it meets and goes on.
type decoder struct {
	known    Known
	dir      string // the project's folder
	problems []problem
}

// A decodable fills itself from a node. The scalars of the file are such:
// each holds its own rule, so that a rule stands in one place.
type decodable interface {
	decode(d *decoder, n ast.Node)
}

// into fills what v points to.
func (d *decoder) into(n ast.Node, v any) { d.value(n, reflect.ValueOf(v).Elem()) }

func (d *decoder) value(n ast.Node, v reflect.Value) {
	if target, ok := v.Addr().Interface().(decodable); ok {
		target.decode(d, n)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem())
	case reflect.Slice:
		d.list(n, v)
	case reflect.Struct:
		d.object(n, v)
	default:
		panic("config: no way to decode a " + v.Type().String())
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.report(spotOf(n), "", "expected a list, found %s", kindOf(n))
		return
	}
	if len(seq.Values) > maxItems {
		d.report(spotOf(seq.Values[maxItems]), "", "the list has more than %d items", maxItems)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, item := range seq.Values {
		d.value(item, v.Index(i))
	}
}

func (d *decoder) object(n ast.Node, v reflect.Value) {
	fields := map[string]field{}
	names := fieldsOf(v, fields)
	if at := v.FieldByName("At"); at.IsValid() {
		at.Set(reflect.ValueOf(spotOf(n)))
	}
	entries := d.entries(n)
	for _, e := range entries {
		f, ok := fields[e.key]
		if !ok {
			d.report(e.at, didYouMean(e.key, names), "unknown key %q", e.key)
			continue
		}
		d.value(e.node, f.value)
		if target, ok := f.value.Addr().Interface().(ruled); ok {
			target.rule(d, f.rules)
		}
	}
	if len(entries) == 0 && kindOf(n) != "a mapping" {
		return // said already
	}
	for _, name := range names {
		written := slices.ContainsFunc(entries, func(e entry) bool { return e.key == name })
		if slices.Contains(fields[name].rules, "required") && !written {
			d.report(spotOf(n), "", "key %q is missing", name)
		}
	}
}

// A ruled scalar has limits that its field names in the jsonschema tag, where
// the schema finds them too.
type ruled interface {
	rule(d *decoder, rules []string)
}

// A field is a key of a struct.
type field struct {
	value reflect.Value
	rules []string
}

// fieldsOf collects the keys of a struct, those of embedded ones included, and
// returns their names in order.
func fieldsOf(v reflect.Value, into map[string]field) []string {
	var names []string
	for i := range v.NumField() {
		t := v.Type().Field(i)
		name, _, _ := strings.Cut(t.Tag.Get("json"), ",")
		switch {
		case t.Anonymous && name == "":
			names = append(names, fieldsOf(v.Field(i), into)...)
		case name != "" && name != "-":
			into[name] = field{v.Field(i), strings.Split(t.Tag.Get("jsonschema"), ",")}
			names = append(names, name)
		}
	}
	return names
}

// An entry is a key of a mapping and what stands under it.
type entry struct {
	key  string
	at   spot
	node ast.Node
}

// entries returns the entries of a mapping, each key once.
func (d *decoder) entries(n ast.Node) []entry {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.report(spotOf(n), "", "expected a mapping, found %s", kindOf(n))
		return nil
	}
	seen := map[string]int{}
	var list []entry
	for _, value := range values {
		at := spotOf(value.Key)
		key, ok := keyText(value.Key)
		if !ok {
			d.report(at, "write it in quotes", "the key is %s, not text", kindOf(value.Key))
			continue
		}
		if line, twice := seen[key]; twice {
			d.report(at, "", "key %q is written twice, first on line %d", key, line)
			continue
		}
		seen[key] = at.line
		list = append(list, entry{key, at, value.Value})
	}
	return list
}

func keyText(n ast.MapKeyNode) (string, bool) {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value, true
	}
	return "", false
}
