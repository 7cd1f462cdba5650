package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/ship"
)

// The names of the conditions of a contract.
const (
	Released    = "released"    // everything that runs was made for the schema after it
	Backfilled  = "backfilled"  // the backfills of the release are done
	Window      = "window"      // the last release that needed the old shape stopped serving long enough ago
	Unused      = "unused"      // no statement was counted since that uses what is taken away
	Independent = "independent" // no view, function or key needs it
)

// Served is a release that came to serve at a time.
type Served struct {
	Release ship.Release
	At      time.Time
}

// Usage is what is known of the statements that use what a contract takes away.
type Usage struct {
	Missing string    // why it cannot be known, a sentence; "" it can
	Next    string    // what somebody could do about that
	Since   time.Time // from when on every use was seen
	At      time.Time // of the last look
	Counted int       // statements that were looked at
	Used    []Use     // newest first
}

// Use is a statement that was called.
type Use struct {
	SQL   string    `json:"sql"`
	Calls int64     `json:"calls"`
	After time.Time `json:"after"`
	Until time.Time `json:"until"`
}

// Needed is what in the schema needs what a contract takes away.
type Needed struct {
	Missing string // why it cannot be known, a sentence; "" it can
	All     []database.Dependent
}

// Conditions says of each condition of a contract whether it is met.
func Conditions(f Facts, m ship.Migration) []ship.Condition {
	all := []ship.Condition{released(f, m)}
	if len(f.Backfills) > 0 {
		all = append(all, backfilled(f))
	}
	all = append(all, window(f, m))
	if u, known := f.Usage[m.ID]; known {
		all = append(all, unused(f, m, u))
	}
	if n, known := f.Needed[m.ID]; known {
		all = append(all, independent(n))
	}
	return all
}

func after(f Facts) time.Duration {
	if m := f.Request.Environment.Migrate; m != nil {
		return m.ContractAfter
	}
	return 0
}

// days says a duration the way people say such durations.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*day:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
	return d.Round(time.Second).String()
}

func released(f Facts, m ship.Migration) ship.Condition {
	c := ship.Condition{Name: Released, State: ship.Met}
	live := needing(f, []ship.Migration{m})
	switch {
	case f.From == nil:
		c.Evidence = "nothing serves"
	case !carries(*f.From, []ship.Migration{m}):
		c.State, c.Evidence = ship.NotMet, fmt.Sprintf("v%d serves, which does not have it", f.From.Number)
		c.Next = "deploy a release that has it, or: shiplock deploy " + f.Request.Environment.ID.Name + " --accept hold|maintenance"
	case len(live) == 0:
		c.Evidence = runs(Running(f.Observed)) + ", nothing that was made before it"
	default:
		c.State, c.Evidence = ship.NotMet, runs(live)
		c.Next = fmt.Sprintf("the old release is stopped %s after the swap (keep_old)", days(f.Request.Environment.KeepOld))
	}
	return c
}

func runs(all []Live) string {
	if len(all) == 0 {
		return "nothing runs"
	}
	texts := make([]string, len(all))
	for i, l := range all {
		texts[i] = l.String()
	}
	return strings.Join(texts, "; ")
}

func backfilled(f Facts) ship.Condition {
	var open []string
	for _, b := range f.Backfills {
		if !b.done(f) {
			open = append(open, b.Name)
		}
	}
	if len(open) == 0 {
		return ship.Condition{Name: Backfilled, State: ship.Met, Evidence: fmt.Sprintf("%d of %[1]d backfills of %s are done", len(f.Backfills), called(f.Request.Release))}
	}
	return ship.Condition{
		Name: Backfilled, State: ship.NotMet, Evidence: strings.Join(open, ", ") + " is not done",
		Next: "shiplock migrate backfill run " + f.Request.Environment.ID.Name,
	}
}

// lastNeeded says when the last release stopped serving that was made before a
// migration, and which it was; nil when none served. known is false when one
// serves now, or nothing is known of what served.
func lastNeeded(f Facts, m ship.Migration) (last *ship.Release, stopped time.Time, known bool) {
	for i, s := range f.History {
		if carries(s.Release, []ship.Migration{m}) {
			continue
		}
		if i == 0 {
			return &s.Release, time.Time{}, false
		}
		return &s.Release, f.History[i-1].At, true
	}
	if len(f.History) == 0 {
		return nil, time.Time{}, false
	}
	return nil, f.History[len(f.History)-1].At, true
}

func window(f Facts, m ship.Migration) ship.Condition {
	c := ship.Condition{Name: Window}
	last, stopped, known := lastNeeded(f, m)
	switch {
	case !known && last != nil:
		c.State, c.Evidence = ship.NotMet, fmt.Sprintf("v%d, which was made before it, is the last that came to serve", last.Number)
		return c
	case !known:
		c.State, c.Evidence = ship.Unknown, "nothing is known of what served before"
		return c
	case last == nil:
		c.Evidence = fmt.Sprintf("no release that was made before it ever served; the first that has it has served since %s", moment(stopped))
	default:
		c.Evidence = fmt.Sprintf("v%d, the last that was made before it, stopped serving at %s, %s ago; %s have to pass", last.Number, moment(stopped), days(f.Now.Sub(stopped)), days(after(f)))
	}
	c.State = ship.Met
	if due := stopped.Add(after(f)); f.Now.Before(due) && last != nil {
		c.State, c.At = ship.NotMet, due
	}
	return c
}

// WindowEnds says when the window of a contract is over, by what served, newest
// first; zero when that cannot be told or it never has to be waited for.
func WindowEnds(served []Served, m ship.Migration, after time.Duration) time.Time {
	last, stopped, known := lastNeeded(Facts{History: served}, m)
	if !known || last == nil {
		return time.Time{}
	}
	return stopped.Add(after)
}

// unused judges what was counted. Counting that began late is enough when it
// covers as much time as has to pass.
func unused(f Facts, m ship.Migration, u Usage) ship.Condition {
	c := ship.Condition{Name: Unused, Next: u.Next}
	_, stopped, known := lastNeeded(f, m)
	// What the last release that needed it did, and what is long ago, is past.
	used := slices.DeleteFunc(slices.Clone(u.Used), func(x Use) bool {
		return known && !x.Until.After(stopped) || f.Now.Sub(x.Until) >= after(f) && x.Until.Before(u.At)
	})
	switch {
	case u.Missing != "":
		c.State, c.Evidence = ship.Unknown, u.Missing
	case len(used) > 0:
		last := used[0]
		c.State, c.At = ship.NotMet, last.Until.Add(after(f))
		c.Evidence = fmt.Sprintf("%d calls between %s and %s of: %s", last.Calls, moment(last.After), moment(last.Until), firstLine(last.SQL))
		for _, x := range used {
			c.Uses = append(c.Uses, fmt.Sprintf("%d calls until %s: %s", x.Calls, moment(x.Until), x.SQL))
		}
	case known && !u.Since.After(stopped), f.Now.Sub(u.Since) >= after(f):
		c.State = ship.Met
		c.Evidence = fmt.Sprintf("none of the %d statements counted since %s uses it", u.Counted, moment(u.Since))
	default:
		c.State, c.At = ship.Unknown, u.Since.Add(after(f))
		c.Evidence = fmt.Sprintf("none of the %d statements uses it, but they are counted only since %s", u.Counted, moment(u.Since))
	}
	return c
}

func independent(n Needed) ship.Condition {
	c := ship.Condition{Name: Independent, State: ship.Met, Evidence: "no view, function, trigger or key needs it"}
	if n.Missing != "" {
		c.State, c.Evidence = ship.Unknown, n.Missing
		return c
	}
	for _, d := range n.All {
		text := fmt.Sprintf("%s %s needs %s", d.Kind, d.Name, d.On)
		if d.Read {
			text = fmt.Sprintf("%s %s names %s in its code", d.Kind, d.Name, d.On)
		}
		c.Uses = append(c.Uses, text)
	}
	if len(c.Uses) > 0 {
		c.State, c.Evidence = ship.NotMet, strings.Join(c.Uses[:min(3, len(c.Uses))], "; ")
		c.Next = "change or drop what needs it, in a migration of its own"
		if more := len(c.Uses) - 3; more > 0 {
			c.Evidence += fmt.Sprintf(" and %d more", more)
		}
	}
	return c
}

// Waits returns the pending contracts of a release with their conditions.
func Waits(f Facts) []ship.Waiting {
	var all []ship.Waiting
	for _, m := range pending(f.Listing) {
		if m.Phase == ship.Contract {
			all = append(all, ship.Waiting{Migration: m, Conditions: Conditions(f, m)})
		}
	}
	return all
}
