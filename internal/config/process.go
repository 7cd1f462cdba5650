package config

import (
	"encoding/json"

	"github.com/goccy/go-yaml/ast"
)

// A process is a command by itself, or a block of settings with one.
type process struct{ processBlock }

func (v *process) decode(d *decoder, n ast.Node) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		d.into(n, &v.processBlock)
	default:
		v.At = spotOf(n)
		v.Command.decode(d, n)
	}
}

// toolSettings are passed on to a plug-in.
type toolSettings struct {
	JSON json.RawMessage
	At   spot
}

func (v *toolSettings) decode(d *decoder, n ast.Node) {
	v.At = spotOf(n)
	v.JSON = d.settings(n)
}
