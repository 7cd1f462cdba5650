package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/ship"
)

// An Error is one problem of a file, with its place.
type Error struct {
	File       string `json:"file"`
	Line       int    `json:"line"`   // from 1
	Column     int    `json:"column"` // from 1, in characters
	Message    string `json:"message"`
	Snippet    string `json:"snippet"` // the line before, the line, and a caret under it
	Suggestion string `json:"suggestion,omitempty"`
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s\n%s", e.File, e.Line, e.Column, e.Message, e.Snippet)
	if e.Suggestion != "" {
		text += " " + e.Suggestion
	}
	return text
}

// Errors are all problems of a file, in its order; never empty.
type Errors []*Error

func (es Errors) Error() string {
	var b strings.Builder
	for _, e := range es {
		b.WriteString(e.Error())
		b.WriteByte('\n')
	}
	count := "1 error"
	if len(es) > 1 {
		count = fmt.Sprintf("%d errors", len(es))
	}
	return b.String() + count + ". Schema: shiplock config schema"
}

// Unwrap makes every problem visible to errors.As.
func (es Errors) Unwrap() []error {
	list := make([]error, len(es))
	for i, e := range es {
		list[i] = e
	}
	return list
}

// A spot is a place in the file. The zero spot is nowhere: what has it was not
// written by anybody.
type spot struct{ line, column, width int }

// A problem is an [Error] before the text of the file is known.
type problem struct {
	at         spot
	message    string
	suggestion string
}

// Limits of a report. Nobody reads more.
const (
	maxProblems = 50
	maxMessage  = 500 // characters
)

// report notes a problem. A problem without a place is one of the whole file.
func (d *decoder) report(at spot, suggestion, format string, args ...any) {
	if at.line < 1 {
		at = spot{line: 1, column: 1, width: 1}
	}
	p := problem{at: at, message: fmt.Sprintf(format, args...), suggestion: suggestion}
	// A setting of the whole file is looked at once for every environment.
	if !slices.Contains(d.problems, p) && len(d.problems) < maxProblems {
		d.problems = append(d.problems, p)
	}
}

// err returns what was reported, or nil.
func (d *decoder) err(name string, data []byte) error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column))
	})
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	list := make(Errors, len(d.problems))
	for i, p := range d.problems {
		list[i] = &Error{
			File: name, Line: p.at.line, Column: p.at.column,
			Message: short(p.message), Snippet: snippet(lines, p.at), Suggestion: short(p.suggestion),
		}
	}
	return &ship.Error{Kind: ship.Invalid, Err: list}
}

// short returns a text as a report shows it: of bounded length, without what
// would act on a terminal, and without passwords that stand in it.
func short(s string) string {
	runes := []rune(printable(Redact(s)))
	if len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return string(runes)
}
