package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shiplock/shiplock/internal/platform"
	"github.com/shiplock/shiplock/internal/ship"
)

// Live is how much of a release runs in a slot: instances that get requests,
// and workers.
type Live struct {
	Release   ship.Release `json:"release"`
	Slot      ship.Slot    `json:"slot"`
	Instances int          `json:"instances"`
	Workers   int          `json:"workers"`
}

// String says it for a person: "2 instances and 1 worker of v4 run in blue".
func (l Live) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{l.Instances, "instance"}, {l.Workers, "worker"}} {
		switch {
		case p.n == 1:
			parts = append(parts, "1 "+p.what)
		case p.n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", p.n, p.what))
		}
	}
	verb := "run"
	if l.Instances+l.Workers == 1 {
		verb = "runs"
	}
	return fmt.Sprintf("%s of %s %s in %s", strings.Join(parts, " and "), called(l.Release), verb, l.Slot)
}

// Running lists what runs of which release in an environment, slot by slot. An
// instance that ended and is about to be started again counts: it will run on
// the schema there is then.
func Running(obs platform.Observation) []Live {
	var all []Live
	for slot, s := range obs.Slots {
		l := Live{Release: s.Release, Slot: slot}
		for _, i := range s.Instances {
			switch {
			case i.State != "running" && i.State != "backoff":
			case i.Process == ship.Web:
				l.Instances++
			default:
				l.Workers++
			}
		}
		if l.Instances+l.Workers > 0 {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b Live) int { return cmp.Compare(a.Slot, b.Slot) })
	return all
}

// needing returns what runs and was made for the schema as it is before the
// given migrations: releases that do not carry all of them.
func needing(f Facts, ms []ship.Migration) []Live {
	return slices.DeleteFunc(Running(f.Observed), func(l Live) bool { return carries(l.Release, ms) })
}

func carries(r ship.Release, ms []ship.Migration) bool {
	for _, m := range ms {
		if !slices.ContainsFunc(r.Migrations, func(x ship.Migration) bool { return x.ID == m.ID }) {
			return false
		}
	}
	return true
}
