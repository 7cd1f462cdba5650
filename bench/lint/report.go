package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A score counts how a linter agrees with what was measured.
type score struct {
	hazards, harmless int
	missed, alarms    []string
}

func scoreOf(all []*measured, say func(*measured) bool) score {
	var s score
	for _, m := range all {
		hurts, said := m.hurts(), say(m)
		if hurts {
			s.hazards++
		} else {
			s.harmless++
		}
		switch {
		case hurts && !said:
			s.missed = append(s.missed, m.sql)
		case !hurts && said:
			s.alarms = append(s.alarms, m.sql)
		}
	}
	return s
}

func table(all []*measured, version int, squawk bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "PostgreSQL %d, %d operations\n\n", version, len(all))
	b.WriteString("| linter | hazards missed | false alarms |\n| --- | --- | --- |\n")
	ours := scoreOf(all, func(m *measured) bool { return m.says.blocks })
	row := func(name string, s score) {
		fmt.Fprintf(&b, "| %s | %d of %d | %d of %d |\n", name, len(s.missed), s.hazards, len(s.alarms), s.harmless)
	}
	row("shiplock lint", ours)
	var theirs score
	if squawk {
		theirs = scoreOf(all, func(m *measured) bool { return m.squawk.blocks })
		row("squawk, without rules of style", theirs)
	}
	same, compared, differ := locks(all)
	fmt.Fprintf(&b, "\nLocks as measured: %d of %d operations.\n", same, compared)
	for _, d := range differ {
		fmt.Fprintf(&b, "* %s\n", d)
	}
	names(&b, "Missed by shiplock lint", ours.missed)
	names(&b, "False alarms of shiplock lint", ours.alarms)
	names(&b, "Missed by squawk", theirs.missed)
	names(&b, "False alarms of squawk", theirs.alarms)
	b.WriteString("\nMeasured:\n\n| operation | locks | rewrites | reads whole | breaks | said |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, m := range all {
		hurt := fmt.Sprint(len(m.broken))
		if m.failed != "" {
			hurt = "fails: " + m.failed
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", m.sql, pairs(m.locks), strings.Join(m.rewrite, ", "), strings.Join(m.scan, ", "), hurt, strings.Join(m.says.rules, " "))
	}
	return b.String()
}

// locks compares the locks that keep others off.
func locks(all []*measured) (same, compared int, differ []string) {
	for _, m := range all {
		if m.failed != "" || m.locks == nil {
			continue
		}
		compared++
		got, want := heavy(m.says.locks), heavy(m.locks)
		maps.DeleteFunc(got, func(name, _ string) bool { return !tables()[name] })
		if maps.Equal(got, want) {
			same++
			continue
		}
		differ = append(differ, fmt.Sprintf("`%s`: measured %s, said %s", m.sql, pairs(want), pairs(got)))
	}
	return same, compared, differ
}

// tables are those of the base; locks on an index or a sequence alone are not
// compared.
func tables() map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields("supplier product sale event event_2025 event_2024 coded coding amounts shown totals") {
		all[name] = true
	}
	return all
}

func heavy(locks map[string]string) map[string]string {
	all := map[string]string{}
	for t, mode := range locks {
		if weight(mode) >= weight("ShareUpdateExclusiveLock") {
			all[t] = mode
		}
	}
	return all
}

func pairs(locks map[string]string) string {
	var all []string
	for _, t := range slices.Sorted(maps.Keys(locks)) {
		all = append(all, t+" "+strings.TrimSuffix(locks[t], "Lock"))
	}
	if len(all) == 0 {
		return "–"
	}
	return strings.Join(all, ", ")
}

func names(b *strings.Builder, title string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n", title)
	for _, s := range list {
		fmt.Fprintf(b, "* `%s`\n", s)
	}
}
