package main

import (
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/testneed"
)

// Goal: no hazard is missed, and at most three of a hundred harmless
// operations are called one.
func TestLintAgreesWithARealServer(t *testing.T) {
	all, version, err := measureAll(t.Context(), testneed.Postgres(t), list())
	if err != nil {
		t.Fatal(err)
	}
	if err := judge(all, version); err != nil {
		t.Fatal(err)
	}
	s := scoreOf(all, func(m *measured) bool { return m.says.blocks })
	if len(s.missed) > 0 {
		t.Errorf("hazards missed:\n%s", strings.Join(s.missed, "\n"))
	}
	if len(s.alarms)*100 > 3*s.harmless {
		t.Errorf("%d false alarms in %d harmless operations:\n%s", len(s.alarms), s.harmless, strings.Join(s.alarms, "\n"))
	}
	same, compared, differ := locks(all)
	if len(differ) > 0 {
		t.Errorf("locks of %d of %d operations are not those that were measured:\n%s", compared-same, compared, strings.Join(differ, "\n"))
	}
	if t.Failed() {
		t.Log(table(all, version, false))
	}
}
