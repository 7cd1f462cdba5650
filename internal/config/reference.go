package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/shiplock/shiplock/internal/ship"
)

// In a value, ${secret:NAME} and ${env:NAME} are references and $${ is a
// literal ${. Nothing else has a meaning.

var (
	referencePattern = regexp.MustCompile(`\$?\$\{[^}]*\}?`)
	referenceName    = regexp.MustCompile(`^(secret|env):([A-Za-z_][A-Za-z0-9_.-]{0,127})$`)
)

// splitReferences calls text and reference in turn for the parts of a value.
// A part that looks like a reference and is none ends it with an error.
func splitReferences(s string, text func(string), reference func(scheme, name string) error) error {
	from := 0
	for _, m := range referencePattern.FindAllStringIndex(s, -1) {
		part := s[m[0]:m[1]]
		text(s[from:m[0]])
		from = m[1]
		if strings.HasPrefix(part, "$$") {
			text(part[1:])
			continue
		}
		inner, closed := strings.CutSuffix(part[2:], "}")
		names := referenceName.FindStringSubmatch(inner)
		if !closed || names == nil {
			// What is in the braces may be a secret in the wrong place.
			return fmt.Errorf("a reference is ${secret:NAME} or ${env:NAME}, $${ is a literal ${")
		}
		if err := reference(names[1], names[2]); err != nil {
			return err
		}
	}
	text(s[from:])
	return nil
}

// Names returns the references in v, each once, as "secret:NAME" or "env:NAME".
func Names(v ship.Value) []string {
	var names []string
	// A malformed value has no further references; Load refuses it.
	_ = splitReferences(string(v), func(string) {}, func(scheme, name string) error {
		if full := scheme + ":" + name; !slices.Contains(names, full) {
			names = append(names, full)
		}
		return nil
	})
	return names
}

// A value may contain references.
type value struct {
	Text ship.Value
	At   spot
}

func (v *value) decode(d *decoder, n ast.Node) {
	// A number or a word like true is what is written in the file.
	switch n := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		v.Text, v.At = ship.Value(n.GetToken().Value), spotOf(n)
		return
	case *ast.NullNode:
		d.report(spotOf(n), `write "" for an empty value`, "a value is missing")
		return
	}
	s, at, ok := d.text(n)
	v.At = at
	if ok && d.checkValue(s, at) {
		v.Text = ship.Value(s)
	}
}

const maxValue = 64 << 10

func (d *decoder) checkValue(s string, at spot) bool {
	if len(s) > maxValue {
		d.report(at, "", "the value is longer than %d bytes", maxValue)
		return false
	}
	for _, r := range s {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r <= 0x9f {
			d.report(at, "", "the value has the control character %U", r)
			return false
		}
	}
	err := splitReferences(s, func(string) {}, func(string, string) error { return nil })
	if err != nil {
		d.report(at, "", "%s", err)
		return false
	}
	return true
}
