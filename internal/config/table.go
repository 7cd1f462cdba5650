package config

import (
	"reflect"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Limits of lists and tables: what is written for people to read is shorter,
// and what compares all with all stays cheap.
const (
	maxNames = 100
	maxItems = 1000
)

// A table is a mapping from names to values of one type, in the file's order.
type table[T any] struct {
	Names []string
	Items map[string]T
	At    spot
	spots map[string]spot
}

func (t *table[T]) decode(d *decoder, n ast.Node) {
	t.At = spotOf(n)
	t.Items, t.spots = map[string]T{}, map[string]spot{}
	entries := d.entries(n)
	if len(entries) > maxNames {
		d.report(entries[maxNames].at, "", "more than %d names", maxNames)
		entries = entries[:maxNames]
	}
	for _, e := range entries {
		var item T
		d.value(e.node, reflect.ValueOf(&item).Elem())
		if d.checkName(e.key, e.at) {
			t.Names = append(t.Names, e.key)
			t.Items[e.key] = item
			t.spots[e.key] = e.at
		}
	}
}

// Get returns the item of the given name.
func (t table[T]) Get(name string) (T, bool) {
	item, ok := t.Items[name]
	return item, ok
}

// variables are environment variables.
type variables struct {
	Items map[string]value
}

var variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func (v *variables) decode(d *decoder, n ast.Node) {
	v.Items = map[string]value{}
	for _, e := range d.entries(n) {
		var item value
		item.decode(d, e.node)
		if !variablePattern.MatchString(e.key) {
			d.report(e.at, "", "%q is not the name of an environment variable", e.key)
			continue
		}
		v.Items[e.key] = item
	}
}

// oneOrMore is a list, or its only item by itself.
type oneOrMore[T any] struct{ Items []T }

func (v *oneOrMore[T]) decode(d *decoder, n ast.Node) {
	if _, ok := n.(*ast.SequenceNode); ok {
		d.into(n, &v.Items)
		return
	}
	v.Items = make([]T, 1)
	d.into(n, &v.Items[0])
}

// merge returns over with what it does not say taken from base. Blocks are
// merged key by key, lists are taken whole.
func merge[T any](base, over T) T {
	merged := over
	fill(reflect.ValueOf(&merged).Elem(), reflect.ValueOf(base))
	return merged
}

func fill(over, base reflect.Value) {
	switch {
	case base.IsZero():
	case over.IsZero():
		over.Set(base)
	case over.Kind() == reflect.Pointer && isBlock(over.Type().Elem()):
		// The block is the file's own: what is merged goes into a copy.
		block := reflect.New(over.Type().Elem())
		block.Elem().Set(over.Elem())
		fillBlock(block.Elem(), base.Elem())
		over.Set(block)
	case isBlock(over.Type()):
		fillBlock(over, base)
	}
}

func fillBlock(over, base reflect.Value) {
	for i := range over.NumField() {
		fill(over.Field(i), base.Field(i))
	}
}

// isBlock tells whether t is a struct of keys rather than a scalar.
func isBlock(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && slices.ContainsFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
		return f.Tag.Get("json") != ""
	})
}
