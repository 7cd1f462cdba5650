package config

import (
	"errors"

	"github.com/goccy/go-yaml/ast"

	"github.com/shiplock/shiplock/internal/argv"
	"github.com/shiplock/shiplock/internal/ship"
)

// A command is text that is split into words, or a list of words.
type command struct {
	Argv ship.Argv
	At   spot
}

func (v *command) decode(d *decoder, n ast.Node) {
	v.At = spotOf(n)
	var err error
	if seq, ok := n.(*ast.SequenceNode); ok {
		words := make(ship.Argv, 0, len(seq.Values))
		for _, item := range seq.Values {
			word, _, ok := d.text(item)
			if !ok {
				return
			}
			words = append(words, word)
		}
		if err = argv.Check(words); err == nil {
			v.Argv = words
		}
	} else {
		text, _, ok := d.text(n)
		if !ok {
			return
		}
		v.Argv, err = argv.Split(text)
	}
	if problem, ok := errors.AsType[*argv.Error](err); ok {
		d.report(problemSpot(n, problem.Offset), problem.Hint, "%s", problem.Message)
	}
}

// problemSpot returns the place of a byte of a text, where the text stands in
// the file as it is; else where the text begins.
func problemSpot(n ast.Node, offset int) spot {
	at := spotOf(n)
	s, ok := n.(*ast.StringNode)
	if !ok {
		return at
	}
	runes := len([]rune(s.Value[:min(offset, len(s.Value))]))
	switch at.width {
	case len([]rune(s.Value)): // plain
		at.column += runes
	case len([]rune(s.Value)) + 2: // in quotes, nothing escaped
		at.column += runes + 1
	default:
		return at
	}
	at.width = 1
	return at
}

// set tells whether the file has the command.
func (v command) set() bool { return v.At.line > 0 }

// argvs returns the words of each command.
func argvs(list []command) []ship.Argv {
	var out []ship.Argv
	for _, c := range list {
		out = append(out, c.Argv)
	}
	return out
}
