package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a file. The parser calls itself for every level and compares every
// key with every other of its mapping, so they are checked before it runs.
const (
	maxTokens = 20_000
	maxDepth  = 64
	maxIndent = 512 // a level of blocks needs a column
)

// parse returns the root mapping of a file, or nil after reporting why there
// is none.
func (d *decoder) parse(data []byte) (root ast.Node) {
	if at, ok := refusedText(data); !ok {
		d.report(at, "", "the file is not UTF-8 text, or larger than %d bytes, or has a control character here", maxFile)
		return nil
	}
	// The parser is not ours: a panic in it is a problem of the file.
	defer func() {
		if r := recover(); r != nil {
			d.report(spot{}, "", "the file cannot be read as YAML")
			root = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if !d.checkTokens(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.reportSyntax(err)
		return nil
	}
	return d.rootOf(file)
}

// rootOf returns the only document of a file.
func (d *decoder) rootOf(file *ast.File) ast.Node {
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			d.report(spotOf(doc.Body), "", "a second document begins; the file must be one")
			return nil
		}
		root = doc.Body
	}
	if root == nil {
		d.report(spot{}, "shiplock init writes one", "the file is empty")
		return nil
	}
	return root
}

// refusedText finds the first thing that no configuration holds.
func refusedText(data []byte) (spot, bool) {
	at := spot{line: 1, column: 1, width: 1}
	if len(data) > maxFile {
		return at, false
	}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			at.line++
			at.column = 0
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\r', r >= 0x7f && r <= 0x9f:
			return at, false
		}
		at.column++
		data = data[size:]
	}
	return at, true
}

// checkTokens refuses what makes a small file expensive (anchors, depth) and
// what this file has no use for.
func (d *decoder) checkTokens(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		d.report(spotOfToken(tokens[maxTokens]), "", "the file has more than %d words and signs", maxTokens)
		return false
	}
	depth, line, onLine := 0, 0, 0
	for _, t := range tokens {
		if what := refusedToken(t); what != "" {
			d.report(spotOfToken(t), "", "%s not read here: write the value out", what)
			return false
		}
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			onLine++
		}
		if depth > maxDepth || onLine > maxDepth {
			d.report(spotOfToken(t), "", "more than %d levels", maxDepth)
			return false
		}
		if t.Position.Column > maxIndent && (t.Prev == nil || t.Prev.Position.Line != t.Position.Line) {
			d.report(spotOfToken(t), "", "the line is indented by more than %d columns", maxIndent)
			return false
		}
	}
	return true
}

func refusedToken(t *token.Token) string {
	switch t.Type {
	case token.AnchorType, token.AliasType:
		return "anchors and aliases are"
	case token.MergeKeyType:
		return "merge keys are"
	case token.TagType:
		return "tags are"
	case token.DirectiveType:
		return "directives are"
	case token.MappingKeyType:
		return "keys after a question mark are"
	}
	return ""
}

// reportSyntax reports what the parser says.
func (d *decoder) reportSyntax(err error) {
	if syntax, ok := errors.AsType[yaml.Error](err); ok && syntax.GetToken() != nil {
		d.report(spotOfToken(syntax.GetToken()), "", "%s", syntax.GetMessage())
		return
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	d.report(spot{}, "", "%s", first)
}

// spotOf returns where a node begins.
func spotOf(n ast.Node) spot {
	switch n := n.(type) {
	case nil:
		return spot{}
	case *ast.MappingNode:
		// The token of a block mapping is its first colon.
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return spotOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return spotOf(n.Key)
	}
	return spotOfToken(n.GetToken())
}

func spotOfToken(t *token.Token) spot {
	if t == nil || t.Position == nil {
		return spot{}
	}
	width := utf8.RuneCountInString(t.Value)
	if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		width = utf8.RuneCountInString(strings.TrimSpace(t.Origin))
	}
	return spot{line: max(1, t.Position.Line), column: max(1, t.Position.Column), width: max(1, width)}
}

// kindOf names what a node is, for people.
func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	default:
		return fmt.Sprintf("a %s", n.Type())
	}
}
