// Package rules holds the rules of lint, one a file, each with what was measured
// of it. It knows what statements do to a database; it refuses to know how a
// statement is read, and who is told.
package rules

import "github.com/shiplock/shiplock/internal/lint"

// All returns every rule. Those that look at the locks others found (PG8…)
// come after them.
func All() []lint.Rule {
	return []lint.Rule{
		pg001(), pg002(), pg003(), pg101(), pg102(), pg103(), pg104(), pg105(), pg106(), pg107(), pg108(), pg109(),
		pg110(), pg111(), pg112(), pg113(), pg114(), pg115(), pg116(), pg117(), pg118(), pg119(), pg120(), pg121(),
		pg122(), pg123(), pg124(), pg125(), pg126(), pg201(), pg202(), pg203(), pg204(), pg205(), pg206(), pg207(),
		pg208(), pg209(), pg301(), pg302(), pg303(), pg304(), pg305(), pg306(), pg307(), pg308(), pg309(), pg310(),
		pg311(), pg312(), pg313(), pg314(), pg315(), pg316(), pg401(), pg402(), pg403(), pg404(), pg405(), pg406(),
		pg407(), pg408(), pg501(), pg502(), pg503(), pg504(), pg505(), pg506(), pg507(), pg508(), pg509(), pg510(),
		pg511(), pg512(), pg513(), pg514(), pg515(), pg516(), pg601(), pg602(), pg603(), pg604(), pg605(), pg701(),
		pg702(), pg703(), pg704(), pg705(), pg706(), pg707(), pg708(), pg709(), pg710(), pg801(), pg802(), pg803(),
		pg804(), pg805(), pg806(), pg807(), pg808(), pg809(), pg810(), sl101(), sl102(), sl103(), sl104(), sl105(),
		sl106(), sl107(), sl108(), sl109(), sl110(), sl111(), sl112(),
	}
}
