package audit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/audit"
)

func written(n int) []audit.Entry {
	var all []audit.Entry
	prev := ""
	for i := range n {
		e := audit.Entry{
			Seq: int64(i + 1), At: time.Date(2026, 11, 21, 10, 0, i, 0, time.UTC), Actor: "ann (uid 1000)", Says: "ci",
			Action: "deploy", App: "shop", Env: "production", Detail: fmt.Sprintf("v%d", i), Outcome: audit.Asked, Prev: prev,
		}
		e.Hash = e.Sum()
		prev = e.Hash
		all = append(all, e)
	}
	return all
}

func check(all []audit.Entry) (audit.Chain, error) {
	var c audit.Chain
	for _, e := range all {
		if err := c.Add(e); err != nil {
			return c, err
		}
	}
	return c, nil
}

func TestA60AnEntryThatWasChangedTakenOutOrMovedIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := written(rapid.IntRange(2, 20).Draw(t, "entries"))
		if c, err := check(all); err != nil || c.Seq != int64(len(all)) || c.Hash != all[len(all)-1].Hash {
			t.Fatalf("as written: %+v, %v", c, err)
		}
		i := rapid.IntRange(0, len(all)-2).Draw(t, "which") // the last can be cut off: see the package
		switch rapid.SampledFrom([]string{"text", "actor", "time", "rewritten", "deleted", "swapped", "moved text"}).Draw(t, "how") {
		case "text":
			all[i].Detail += " "
		case "actor":
			all[i].Actor = "bob (uid 1001)"
		case "time":
			all[i].At = all[i].At.Add(time.Nanosecond)
		case "rewritten": // with a hash of its own
			all[i].Outcome = "answers 1: done"
			all[i].Hash = all[i].Sum()
		case "deleted":
			all = slices.Delete(all, i, i+1)
		case "swapped":
			all[i], all[i+1] = all[i+1], all[i]
		case "moved text": // the same bytes, in other fields
			all[i].App, all[i].Env = all[i].App+all[i].Env, ""
		}
		if _, err := check(all); err == nil {
			t.Fatal("nobody noticed")
		}
	})
}

func TestTheFirstWrongEntryIsNamed(t *testing.T) {
	for _, c := range []struct {
		do   func([]audit.Entry) []audit.Entry
		want string
	}{
		{func(a []audit.Entry) []audit.Entry { a[2].Actor = "bob"; return a }, "entry 3 (deploy by bob, 2026-11-21T10:00:02Z) was changed"},
		{func(a []audit.Entry) []audit.Entry { return slices.Delete(a, 1, 3) }, "entries 2 to 3 are missing: entry 4"},
		{func(a []audit.Entry) []audit.Entry { return a[1:] }, "entry 1 is missing: entry 2"},
		{func(a []audit.Entry) []audit.Entry { a[1].Detail = "v9"; a[1].Hash = a[1].Sum(); return a }, "entry 2 was written anew: entry 3"},
		{func(a []audit.Entry) []audit.Entry { return append(a, a[4]) }, "entry 5 (deploy by ann (uid 1000), 2026-11-21T10:00:04Z) comes after entry 5"},
	} {
		if _, err := check(c.do(written(5))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// Other programs can check the chain: this is what an entry's hash is of.
func TestTheHashIsOfTheTextThatIsDocumented(t *testing.T) {
	e := audit.Entry{Seq: 1, At: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC), Actor: "ann", Action: "deploy", Outcome: audit.Asked}
	// printf '1:1,28:2026-01-02T03:04:05.0000006Z,…' | sha256sum
	const want = "512ee6aa4e911f18ff6b7641b1d96e0b2bf747d87a65aa05ec026667f27fab80"
	if got := e.Sum(); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}
