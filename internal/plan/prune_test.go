package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestAReleaseIsDeletedOnlyWhenNoneOfItsMigrationsIsApplied(t *testing.T) {
	release := func(n int, migrations ...string) ship.Release {
		r := ship.Release{Number: n, Artifact: ship.Artifact{Digest: "sha256:" + string(rune('0'+n))}}
		for _, m := range migrations {
			r.Migrations = append(r.Migrations, ship.Migration{ID: m, Checksum: "sum of " + m})
		}
		return r
	}
	all := []ship.Release{
		release(7, "a", "c"),        // the newest
		release(6, "a", "x"),        // its own x was never applied
		release(5, "a", "b"),        // the only one with b, which is applied
		release(4, "a"),             // serves somewhere
		release(3, "a"), release(2), // nothing needs them
		release(1, "a"), // applied a
	}
	ledgers := [][]ship.Record{
		{{Migration: "a", Release: "sha256:1"}},
		{{Migration: "a", Release: "sha256:1"}, {Migration: "b", Release: "sha256:gone"}},
	}
	gone, kept := plan.Prune(all, 1, map[int]string{4: "serves shop/staging"}, ledgers)
	var numbers []int
	for _, r := range gone {
		numbers = append(numbers, r.Number)
	}
	if want := []int{6, 3, 2}; !slices.Equal(numbers, want) {
		t.Errorf("v%d may be deleted, want v%d", numbers, want)
	}
	why := map[int]string{7: "newest 1", 5: "b is applied", 4: "serves", 1: "a, which it applied"}
	for _, k := range kept {
		if !strings.Contains(k.Why, why[k.Release.Number]) || why[k.Release.Number] == "" {
			t.Errorf("v%d is kept because %q, want %q", k.Release.Number, k.Why, why[k.Release.Number])
		}
	}
	if len(kept) != len(why) {
		t.Errorf("%d are kept, want %d", len(kept), len(why))
	}
}
