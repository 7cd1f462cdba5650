package rules

import (
	"fmt"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg707 is about: REVOKE / OWNER TO.
func pg707() lint.Rule {
	return lint.Rule{
		ID: "PG707", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "REVOKE / OWNER TO",
			Locks:     "no heavy lock (OWNER: ACCESS EXCLUSIVE)",
			Versions:  "PG18 REVOKE/GRANT take AS",
			Breaks:    "YES",
			Rollback:  "OWNER TO down loses app grants (measured: everything denied)",
			Safe:      "gate; compare ACL before/after",
		},
		Check: checkPG707,
	}
}

func checkPG707(o *lint.Op) []lint.Hit {
	switch {
	case o.Verb == "REVOKE":
		h := lint.Hit{Message: "REVOKE makes what the running release was allowed to do fail; take the right away in a later release, when nothing uses it.", Breaks: true, Keeps: true}
		return []lint.Hit{h}
	case o.Is("OWNER TO"):
		return []lint.Hit{{
			Message: fmt.Sprintf("OWNER TO %s takes %s from its owner: the running release is denied what it may do as owner only, and the way down loses grants.", o.Part.Value, o.Table),
			Locks:   lint.On(o.Table, lint.AccessExclusive), Breaks: true, Keeps: true, Stuck: true,
		}}
	case o.Verb == "ALTER" && o.Object != "TABLE" && o.Has("OWNER", "TO") && !o.Schema.New(o.Object, o.Name()):
		return []lint.Hit{{Message: fmt.Sprintf("ALTER %s %s OWNER TO: the running release is denied what it may do as owner only.", o.Object, o.Name()), Breaks: true, Keeps: true, Stuck: true}}
	case o.Verb == "REASSIGN":
		return []lint.Hit{{Message: "REASSIGN OWNED gives tables another owner: the running release is denied what it may do as owner only.", Breaks: true, Keeps: true, Stuck: true}}
	}
	return nil
}
