package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/lint"
)

// A change is what becomes of a column's type.
type change struct {
	from string // "" is not known
	rule string // the rule it belongs to; "" is none
}

// changeOf judges an action that changes a type.
func changeOf(o *lint.Op) change {
	if !o.Is("TYPE") {
		return change{}
	}
	c := o.Column()
	if c == nil || c.Type == "" {
		if t := o.Schema.Type(o.Part.Type); t != nil && t.Kind == "enum" && t.New {
			return change{rule: "PG603"}
		}
		return change{rule: "PG201"}
	}
	from, to := o.Schema.Domain(c.Type), o.Part.Type
	switch {
	case c.Type == to:
		return change{from: c.Type}
	case enum(o, from) && enum(o, to):
		return change{c.Type, "PG603"}
	case !plainCast(o):
		return keyed(o, change{c.Type, "PG201"})
	case from == "timestamp" && to == "timestamptz", from == "timestamptz" && to == "timestamp":
		return change{c.Type, "PG204"}
	case lint.Widens(from, to) || from == to:
		return change{c.Type, "PG203"}
	case lint.Narrows(from, to):
		return change{c.Type, "PG202"}
	}
	return keyed(o, change{c.Type, "PG201"})
}

func enum(o *lint.Op, name string) bool {
	t := o.Schema.Type(name)
	return t != nil && t.Kind == "enum"
}

// keyed gives a change of a key's column to the rule for those.
func keyed(o *lint.Op, c change) change {
	t := o.Schema.Table(o.Table)
	if t == nil {
		return c
	}
	for _, k := range t.Constraints {
		if (k.Kind == "PRIMARY KEY" || k.Kind == "FOREIGN KEY") && slices.Contains(k.Columns, o.Part.Name) {
			c.rule = "PG208"
		}
	}
	if len(o.Schema.Referencing(o.Table, o.Part.Name)) > 0 {
		c.rule = "PG208"
	}
	return c
}

// plainCast tells whether USING, if it is there, is the cast that the database
// would do anyway.
func plainCast(o *lint.Op) bool {
	if o.Part.Using == "" {
		return true
	}
	text := strings.NewReplacer(" ", "", `"`, "", "(", "", ")", "").Replace(strings.ToLower(o.Part.Using))
	return strings.HasPrefix(text, strings.ToLower(o.Part.Name)+"::") || text == strings.ToLower(o.Part.Name) || strings.HasPrefix(text, "cast"+strings.ToLower(o.Part.Name)+"as")
}

// mentions tells whether a name stands in a text.
func mentions(text, name string) bool {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return slices.Contains(words, strings.ToLower(name))
}

// typeSteps put a column of the new type beside the old one.
func typeSteps(o *lint.Op) string {
	return safeWay(safely(o).Type(o.Table, o.Part.Name, o.Part.Type, o.Part.Using))
}

// narrowSteps let the database refuse what does not fit before the type does.
func narrowSteps(o *lint.Op) string {
	base, a, _ := lint.TypeParts(o.Part.Type)
	c := lint.Quote(o.Part.Name)
	name := last(o.Table) + "_" + o.Part.Name + "_fits"
	var expr string
	switch base {
	case "varchar", "char":
		expr = fmt.Sprintf("length(%s) <= %d", c, a)
	case "integer":
		expr = fmt.Sprintf("%s BETWEEN -2147483648 AND 2147483647", c)
	case "smallint":
		expr = fmt.Sprintf("%s BETWEEN -32768 AND 32767", c)
	default:
		return typeSteps(o)
	}
	return lines(checkSteps(o, name, expr), typeSteps(o))
}
