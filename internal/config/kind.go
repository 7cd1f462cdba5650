package config

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/shiplock/shiplock/internal/ship"
)

// A platformKind names a platform: "process", or {process: {its settings}}.
type platformKind struct {
	Plugin ship.Plugin
	At     spot
}

func (v *platformKind) decode(d *decoder, n ast.Node) {
	v.At = spotOf(n)
	if _, ok := n.(*ast.StringNode); ok {
		v.Plugin.Kind, _, _ = d.plainLine(n)
		d.checkKind("platform", v.Plugin.Kind, d.known.Platforms, v.At)
		return
	}
	entries := d.entries(n)
	if len(entries) != 1 {
		d.report(v.At, "", "expected one kind of platform, found %d", len(entries))
		return
	}
	e := entries[0]
	d.checkKind("platform", e.key, d.known.Platforms, e.at)
	v.Plugin = ship.Plugin{Kind: e.key, Config: d.settings(e.node)}
}

func (d *decoder) checkKind(family, kind string, known []string, at spot) {
	if kind == "" || known == nil || slices.Contains(known, kind) {
		return
	}
	d.report(at, didYouMean(kind, known), "unknown %s %q, known are %s", family, kind, strings.Join(known, ", "))
}

// A notifier is {kind: settings} and what it wants to hear of. A text in place
// of the settings is the setting url.
type notifier struct {
	Plugin ship.Plugin
	On     []choice
	At     spot
}

// topics are what a notifier can hear of.
var topics = [...]string{"success", "failure", "rollback"}

func (v *notifier) decode(d *decoder, n ast.Node) {
	v.At = spotOf(n)
	for _, e := range d.entries(n) {
		switch {
		case e.key == "on":
			v.decodeTopics(d, e.node)
		case v.Plugin.Kind != "":
			d.report(e.at, "", "a notifier has one kind, this one is already %q", v.Plugin.Kind)
		default:
			d.checkKind("notifier", e.key, d.known.Notifiers, e.at)
			v.Plugin = ship.Plugin{Kind: e.key, Config: d.notifierSettings(e.node)}
		}
	}
	if v.Plugin.Kind == "" {
		d.report(v.At, "", "the notifier has no kind")
	}
}

func (v *notifier) decodeTopics(d *decoder, n ast.Node) {
	d.into(n, &v.On)
	for i := range v.On {
		v.On[i].rule(d, []string{"enum=" + topics[0], "enum=" + topics[1], "enum=" + topics[2]})
	}
}

func (d *decoder) notifierSettings(n ast.Node) json.RawMessage {
	switch n.(type) {
	case *ast.StringNode:
		var url value
		url.decode(d, n)
		return object("url", url.Text)
	case *ast.BoolNode: // {log: true}
		return nil
	}
	return d.settings(n)
}

// settings passes the settings of a plug-in on as JSON: what keys it has only
// the plug-in knows.
func (d *decoder) settings(n ast.Node) json.RawMessage {
	switch n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.MappingNode, *ast.MappingValueNode:
		data, err := json.Marshal(d.raw(n, 0))
		if err != nil {
			d.report(spotOf(n), "", "the settings cannot be passed on: %s", err)
		}
		return data
	}
	d.report(spotOf(n), "", "expected a mapping of settings, found %s", kindOf(n))
	return nil
}

// raw returns what a node holds as JSON knows it.
func (d *decoder) raw(n ast.Node, depth int) any {
	if depth > maxDepth {
		d.report(spotOf(n), "", "more than %d levels", maxDepth)
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		object := map[string]any{}
		for _, e := range d.entries(n) {
			if r, bad := controlIn(e.key); bad {
				d.report(e.at, "", "the key has the control character %U", r)
			}
			object[e.key] = d.raw(e.node, depth+1)
		}
		return object
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, item := range n.Values {
			list[i] = d.raw(item, depth+1)
		}
		return list
	case *ast.BoolNode:
		return n.Value
	case *ast.NullNode:
		return nil
	case *ast.IntegerNode, *ast.FloatNode:
		return d.number(n)
	case *ast.StringNode, *ast.LiteralNode:
		s, at, ok := d.text(n)
		if ok && d.checkValue(s, at) {
			return s
		}
		return ""
	}
	d.report(spotOf(n), "", "expected a value, found %s", kindOf(n))
	return nil
}

func (d *decoder) number(n ast.Node) any {
	text := n.GetToken().Value
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f-f == 0 { // neither infinite nor NaN
		return f
	}
	d.report(spotOf(n), "", "%q is not a decimal number", text)
	return 0
}

// object returns the JSON of an object with one key.
func object(key string, v any) json.RawMessage {
	data, err := json.Marshal(map[string]any{key: v})
	if err != nil {
		return nil // texts and lists of texts can always be encoded
	}
	return data
}
