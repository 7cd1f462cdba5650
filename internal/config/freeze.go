package config

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"github.com/shiplock/shiplock/internal/pipeline"
	"github.com/shiplock/shiplock/internal/ship"
)

// A freezeEnd is when a freeze begins or ends.
type freezeEnd struct{ plain }

func (v *freezeEnd) decode(d *decoder, n ast.Node) {
	v.plain.decode(d, n)
	if v.Text == "" {
		return
	}
	if err := pipeline.CheckMoment(v.Text); err != nil {
		d.report(v.At, "", "%s", err)
		v.Text = ""
	}
}

// JSONSchema tells the forms apart; that there is such a day only we know.
func (freezeEnd) JSONSchema() *jsonschema.Schema {
	return textSchema(`^([0-9]{4}-[0-9]{2}-[0-9]{2}[ Tt][0-9]{2}:[0-9]{2}.*|[A-Za-z]{3} [0-9]{1,2}:[0-9]{2})$`)
}

func freezes(list []freezeBlock) []ship.Freeze {
	var all []ship.Freeze
	for _, b := range list {
		all = append(all, ship.Freeze{From: b.From.Text, To: b.To.Text, Zone: b.Zone.Text, Reason: b.Reason.Text})
	}
	return all
}

// checkPromotion reports what of an environment's part in the pipeline makes no
// sense.
func (d *decoder) checkPromotion(own environment) {
	for _, b := range own.Freeze {
		if b.From.Text == "" || b.To.Text == "" {
			continue // said already
		}
		if err := pipeline.CheckZone(b.Zone.Text); err != nil && b.Zone.set() {
			d.report(b.Zone.At, "", "%s", err)
		} else if _, err := pipeline.ParseWindow(ship.Freeze{From: b.From.Text, To: b.To.Text, Zone: b.Zone.Text}); err != nil {
			d.report(b.From.At, "", "%s", err)
		}
	}
	switch {
	case own.After.set():
	case own.Auto.On:
		d.report(own.Auto.At, "add after:, or branch: to deploy what is pushed", "nothing is promoted to an environment that comes after none")
	case own.Soak.At.line > 0:
		d.report(own.Soak.At, "add after:", "nothing is promoted to an environment that comes after none")
	}
}
