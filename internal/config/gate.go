package config

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
)

// A gateKind is a gate: {run: command} with what is read of its result beside
// it, or {kind: {its settings}}, and for how long it may take.
type gateKind struct {
	Plugin         ship.Plugin
	Timeout        duration
	Running, Alone bool
	At             spot
}

// The kinds of gates that are a command, and the key that makes it the second.
const (
	commandGate = "command"
	scanGate    = "scan"
	scanKey     = "sarif"
)

// urlVariable is what a command finds the candidate by: one that mentions it is
// run when there is one.
const urlVariable = "SHIPLOCK_URL"

func (v *gateKind) decode(d *decoder, n ast.Node) {
	v.At = spotOf(n)
	own := d.entries(n)
	if at := slices.IndexFunc(own, func(e entry) bool { return e.key == "timeout" }); at >= 0 {
		v.Timeout.decode(d, own[at].node)
		own = slices.Delete(own, at, at+1)
	}
	has := func(key string) bool { return slices.ContainsFunc(own, func(e entry) bool { return e.key == key }) }
	switch {
	case len(own) == 0:
		d.report(v.At, "write run: and a command", "the gate has no kind")
		return
	case has("run") && has(scanKey):
		v.Plugin.Kind = scanGate
	case has("run"):
		v.Plugin.Kind = commandGate
	case d.checkGate(own[0]):
		v.Plugin.Kind = own[0].key
	default:
		return
	}
	settings := own
	if !has("run") {
		settings = d.settingsOf(own[0].node)
	}
	for _, e := range own {
		if e.key != "run" && e.key != v.Plugin.Kind && (!has("run") || slices.Contains(d.known.Gates, e.key)) {
			d.report(e.at, "", "a gate has one kind, this one is already %q", v.Plugin.Kind)
			return
		}
	}
	if has("run") {
		d.checkKind("gate", v.Plugin.Kind, d.known.Gates, own[0].at)
	}
	v.fill(d, settings, own[0].at)
}

// fill passes the settings on and has them checked by who knows them.
func (v *gateKind) fill(d *decoder, settings []entry, at spot) {
	before := len(d.problems)
	object := map[string]any{}
	for _, e := range settings {
		if e.key == "run" {
			var c command
			c.decode(d, e.node)
			object[e.key] = c.Argv
			continue
		}
		object[e.key] = d.raw(e.node, 1)
	}
	if len(object) > 0 {
		data, err := json.Marshal(object)
		if err != nil {
			d.report(at, "", "the settings cannot be passed on: %s", err)
			return
		}
		v.Plugin.Config = data
	}
	kind := d.known.Kinds[v.Plugin.Kind]
	text := string(v.Plugin.Config)
	v.Running = kind.Running || strings.Contains(text, "$"+urlVariable) || strings.Contains(text, "${"+urlVariable+"}")
	v.Alone = kind.Alone
	if kind.Check == nil || len(d.problems) > before {
		return
	}
	if err := kind.Check(v.Plugin.Config); err != nil {
		d.reportSetting(settings, at, err)
	}
}

// settingsOf returns the entries of a mapping, none of nothing.
func (d *decoder) settingsOf(n ast.Node) []entry {
	if _, ok := n.(*ast.NullNode); ok {
		return nil
	}
	return d.entries(n)
}

// reportSetting notes what a plug-in said of its settings, where that is.
func (d *decoder) reportSetting(settings []entry, at spot, err error) {
	wrong, ok := errors.AsType[*plugin.SettingError](err)
	if !ok || len(wrong.Path) == 0 {
		d.report(at, ship.HintOf(err), "%s", err)
		return
	}
	suggestion := ship.HintOf(wrong.Err)
	if len(wrong.Known) > 0 {
		suggestion = didYouMean(wrong.Path[len(wrong.Path)-1], wrong.Known)
	}
	d.report(d.place(settings, wrong.Path, len(wrong.Known) > 0, at), suggestion, "%s", wrong.Err)
}

// place returns where a setting is: its key, or its value.
func (d *decoder) place(settings []entry, path []string, key bool, at spot) spot {
	i := slices.IndexFunc(settings, func(e entry) bool { return e.key == path[0] })
	if i < 0 {
		return at
	}
	e := settings[i]
	at, n := e.at, e.node
	for path = path[1:]; len(path) > 0; path = path[1:] {
		switch node := n.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			return d.place(d.entries(node), path, key, at)
		case *ast.SequenceNode:
			i, err := strconv.Atoi(path[0])
			if err != nil || i < 0 || i >= len(node.Values) {
				return at
			}
			n, at = node.Values[i], spotOf(node.Values[i])
		default:
			return at
		}
	}
	if key {
		return at
	}
	return spotOf(n)
}

func (d *decoder) checkGate(e entry) bool {
	if d.known.Gates == nil || slices.Contains(d.known.Gates, e.key) {
		return true
	}
	keys := []string{"run", "timeout"}
	for _, kind := range d.known.Gates {
		if kind != commandGate {
			keys = append(keys, kind)
		}
	}
	d.report(e.at, didYouMean(e.key, keys), "unknown kind of gate %q, known are %s", e.key, strings.Join(keys, ", "))
	return false
}

// JSONSchema is what is the same whichever kinds there are; see gateSchema.
func (gateKind) JSONSchema() *jsonschema.Schema { return gateSchema(Known{}) }

// gateSchema describes a gate of any kind that is known.
func gateSchema(known Known) *jsonschema.Schema {
	timeout := described(duration{}.JSONSchema(), "Time the gate may take. Default 30m.")
	run := described(command{}.JSONSchema(), "Command that must end with exit code 0. One that mentions $SHIPLOCK_URL is run when the release runs, before users get to it.")
	beside := jsonschema.NewProperties()
	beside.Set("run", run)
	beside.Set("timeout", timeout)
	shapes := []*jsonschema.Schema{{Type: "object", Properties: beside, Required: []string{"run"}, AdditionalProperties: jsonschema.FalseSchema}}
	for _, kind := range slices.Sorted(slices.Values(known.Gates)) {
		s := kindSchema(known, kind, run)
		if kind == commandGate || kind == scanGate {
			for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
				if pair.Key != "run" {
					beside.Set(pair.Key, pair.Value)
				}
			}
		}
		own := jsonschema.NewProperties()
		own.Set(kind, described(s, "Settings of a gate of kind "+kind+"."))
		own.Set("timeout", timeout)
		shapes = append(shapes, &jsonschema.Schema{Type: "object", Properties: own, Required: []string{kind}, AdditionalProperties: jsonschema.FalseSchema})
	}
	if known.Gates == nil {
		one, two := uint64(1), uint64(2)
		other := jsonschema.NewProperties()
		other.Set("timeout", timeout)
		shapes = append(shapes, &jsonschema.Schema{
			Type: "object", Properties: other, MinProperties: &one, MaxProperties: &two,
			AdditionalProperties: settingsSchema(), Not: &jsonschema.Schema{Required: []string{"run"}},
		})
	}
	return anyOf(shapes...)
}

// kindSchema describes the settings of a kind of gate.
func kindSchema(known Known, kind string, run *jsonschema.Schema) *jsonschema.Schema {
	t := known.Kinds[kind].Settings
	if t == nil {
		return settingsSchema()
	}
	s := inline(t)
	s.Required = nil
	if _, ok := s.Properties.Get("run"); ok {
		s.Properties.Set("run", run)
	}
	return s
}

// ownSchema returns the schema that the type of a setting has of its own, or nil.
func ownSchema(t reflect.Type) *jsonschema.Schema {
	switch own := reflect.New(t).Interface().(type) {
	case interface{ SettingSchema() string }:
		s := new(jsonschema.Schema)
		if json.Unmarshal([]byte(own.SettingSchema()), s) != nil {
			return nil
		}
		return s
	case *ship.Argv:
		return listOf(&jsonschema.Schema{Type: "string"})
	}
	return nil
}
