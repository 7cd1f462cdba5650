package rules

import (
	"fmt"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
	"github.com/shiplock/shiplock/internal/sqltext"
)

// pg125 is about: SET STORAGE / SET COMPRESSION / DROP EXPRESSION / ADD IDENTITY / REPLICA IDENTITY.
func pg125() lint.Rule {
	return lint.Rule{
		ID: "PG125", Class: lint.Info, Dialect: sqltext.Postgres,
		Facts: lint.Facts{
			Operation: "SET STORAGE / SET COMPRESSION / DROP EXPRESSION / ADD IDENTITY / REPLICA IDENTITY",
			Locks:     "ACCESS EXCLUSIVE metadata",
			Versions:  "all",
			Breaks:    "No",
			Safe:      "lock_timeout+retry",
		},
		Check: checkPG125,
	}
}

func checkPG125(o *lint.Op) []lint.Hit {
	if !o.Is("COLUMN SET STORAGE", "COLUMN SET COMPRESSION", "COLUMN DROP EXPRESSION", "COLUMN ADD GENERATED", "REPLICA IDENTITY",
		"COLUMN SET GENERATED", "COLUMN DROP IDENTITY", "SET WITHOUT CLUSTER", "CLUSTER ON", "SET WITHOUT OIDS") {
		return nil
	}
	return []lint.Hit{{
		Message: fmt.Sprintf("%s on %s changes the catalogue alone.", strings.TrimPrefix(o.Part.Verb, "COLUMN "), o.Table),
		Locks:   lint.On(o.Table, lint.AccessExclusive), Keeps: true,
	}}
}
