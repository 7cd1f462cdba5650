package sqltext_test

import (
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/sqltext"
)

func TestDeclarationIsReadFromACommentOfItsOwnLine(t *testing.T) {
	for _, c := range []struct {
		text   string
		phase  ship.Phase
		reason string
	}{
		{"", "", ""},
		{"CREATE TABLE a (id int);", "", ""},
		{"SELECT 'shiplock: phase=expand';", "", ""},
		{"-- shiplock: phase=expand reason=\"nobody reads it\"\nDROP TABLE a;", ship.Expand, "nobody reads it"},
		{"# shiplock: phase=backfill reason='fills it'\nimport x", ship.Backfill, "fills it"},
		{"  --shiplock:phase=contract", ship.Contract, ""},
		{"-- +goose Up\r\n-- shiplock: reason=unused phase=expand\r\nDROP TABLE a;\r\n", ship.Expand, "unused"},
		{`-- shiplock: phase=expand reason="the \"old\" one"`, ship.Expand, `the "old" one`},
		{`-- shiplock: phase=expand reason="   "`, ship.Expand, ""},
	} {
		phase, reason, err := sqltext.Declaration(c.text)
		if err != nil || phase != c.phase || reason != c.reason {
			t.Errorf("Declaration(%q) = %q, %q, %v; want %q, %q", c.text, phase, reason, err, c.phase, c.reason)
		}
	}
}

func TestDeclarationThatCannotBeReadNamesItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"\n-- shiplock: phase=expnd reason=x":                           `line 2: the declaration cannot be read: phase "expnd" is unknown`,
		"-- shiplock: expand":                                           `"expand" is not key=value`,
		"-- shiplock: phase=expand because=x":                           `"because" is unknown`,
		"-- shiplock: reason=x":                                         "it names no phase",
		"-- shiplock: phase=expand reason=\"open":                       "is not key=value",
		"-- shiplock: phase=expand\n\n-- shiplock: phase=contract":      "line 3: the declaration cannot be read: there is one on line 1 already",
		"-- shiplock: phase=expand reason=\"it\"x":                      "is not key=value",
		"# shiplock:\n":                                                 "it names no phase",
		"-- shiplock: phase=expand reason=\"a\" phase=\"contract\" x\n": "is not key=value",
	} {
		_, _, err := sqltext.Declaration(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Declaration(%q): %v; want %q", text, err, want)
		} else if ship.KindOf(err) != ship.Invalid {
			t.Errorf("Declaration(%q): kind %q", text, ship.KindOf(err))
		}
	}
}
