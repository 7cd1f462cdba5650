package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg104 is about: ADD COLUMN serial/bigserial.
func pg104() lint.Rule {
	return lint.Rule{
		ID: "PG104", Class: lint.Block, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "ADD COLUMN serial/bigserial",
			Locks:     "ACCESS EXCLUSIVE + rewrite",
			Versions:  "all",
			Breaks:    "YES: new column is NOT NULL with nextval default owned by migrator; role without USAGE on the new sequence cannot INSERT at all (measured: every INSERT failed)",
			Rollback:  "down = DROP COLUMN: loses values written by the new version",
			Safe:      "ADD bigint; sequence + default; GRANT sequence; backfill",
		},
		Check: checkPG104,
	}
}

func checkPG104(o *lint.Op) []lint.Hit {
	d, ok := o.Adds()
	if !ok || !strings.HasSuffix(d.Type, "serial") {
		return nil
	}
	base := map[string]string{"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}[d.Type]
	return []lint.Hit{{
		Message: fmt.Sprintf("ADD COLUMN %s as %s writes %s anew while nobody can use it, and every insert of the running release fails if its role may not use the new sequence; add a plain column, and give it a sequence and a default afterwards.", o.Of(), d.Type, o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Work: lint.Rewrite, Breaks: true, Keeps: true,
		Rewrite: sequenceSteps(o, d.Name, base),
	}}
}
