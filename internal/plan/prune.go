package plan

import (
	"fmt"
	"slices"

	"github.com/shiplock/shiplock/internal/ship"
)

// A Kept release may not be deleted, because of Why.
type Kept struct {
	Release ship.Release
	Why     string
}

// Prune decides which of an app's releases, newest first, may be deleted when
// so many of the newest are kept. used says of a release by its number where it
// is needed besides. A migration that is applied anywhere is taken back with the
// files of the release that applied it, as the ledgers name it, or of any that
// carries it unchanged: a release goes only when neither needs it.
func Prune(all []ship.Release, keep int, used map[int]string, ledgers [][]ship.Record) (gone []ship.Release, kept []Kept) {
	for i, r := range all {
		why := used[r.Number]
		switch {
		case i < keep:
			why = fmt.Sprintf("one of the newest %d", keep)
		case why == "":
			why = applied(r, ledgers)
		}
		if why == "" {
			gone = append(gone, r)
			continue
		}
		kept = append(kept, Kept{r, why})
	}
	// A migration nobody else carries any more: its release comes back.
	for i := len(gone) - 1; i >= 0; i-- {
		if m := lastOf(gone[i], kept, ledgers); m != "" {
			kept = append(kept, Kept{gone[i], m + " is applied, and no other release that is kept has its way down"})
			gone = slices.Delete(gone, i, i+1)
		}
	}
	slices.SortFunc(kept, func(a, b Kept) int { return b.Release.Number - a.Release.Number })
	return gone, kept
}

// applied says which migration a release applied that is still there, or "".
func applied(r ship.Release, ledgers [][]ship.Record) string {
	for _, ledger := range ledgers {
		for _, rec := range ledger {
			if rec.Release == r.Artifact.Digest {
				return rec.Migration + ", which it applied, is applied"
			}
		}
	}
	return ""
}

// lastOf returns an applied migration that only this release carries.
func lastOf(r ship.Release, kept []Kept, ledgers [][]ship.Record) string {
	for _, m := range r.Migrations {
		known := slices.ContainsFunc(ledgers, func(l []ship.Record) bool {
			return slices.ContainsFunc(l, func(rec ship.Record) bool { return rec.Migration == m.ID })
		})
		elsewhere := slices.ContainsFunc(kept, func(k Kept) bool {
			return slices.ContainsFunc(k.Release.Migrations, func(x ship.Migration) bool { return x.ID == m.ID && x.Checksum == m.Checksum })
		})
		if known && !elsewhere {
			return m.ID
		}
	}
	return ""
}
