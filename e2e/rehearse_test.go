package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

// cost renames a column that the running release reads, and says that nobody
// would mind.
const cost = `-- shiplock: phase=expand reason="nobody reads the price"
-- +goose Up
ALTER TABLE products RENAME COLUMN price TO cost;
-- +goose Down
ALTER TABLE products RENAME COLUMN cost TO price;
`

func TestGoRehearsalGateRefusesWhatBreaksTheRunningReleaseAndShowsWhatPassed(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	s.change("shiplock.yaml", "production: {", "production: {gates: [proof], ")
	s.write("shiplock.yaml", s.take("shiplock.yaml")+"gates: {proof: {rehearsal: {downgrade: reordered}}}\n", 0o644)
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)

	// Its author declared that the running release can live with it. It cannot.
	s.write("migrations/00003_cost.sql", cost, 0o644)
	s.version("2")
	tried := s.do("rehearse", "production")
	if tried.code != 5 {
		t.Errorf("rehearse ended with exit code %d: %s", tried.code, tried.text)
	}
	refused := s.do("deploy", "production")
	refused.expect(t, 5, ship.GateFailed, ship.SchemaUnchanged, 1)
	if refused.Next != "shiplock explain "+refused.Run {
		t.Errorf("the next command is %q", refused.Next)
	}
	refused.says(t, "00003_cost breaks", "statements of the running release, for example", "price")
	for _, text := range []string{tried.text, s.read("explain", refused.Run)} {
		if !strings.Contains(text, "no column named price") || !strings.Contains(text, "00003_cost") {
			t.Errorf("it does not say what breaks: %s", text)
		}
	}
	s.has("products", "price", true)
	s.answers("/products", "1")

	// What both releases can live with passes, and the evidence stays.
	s.take("migrations/00003_cost.sql")
	s.next("additive")
	tried = s.do("rehearse", "production", "--from", "backup", "--smoke")
	var v ship.Verdict
	if err := json.Unmarshal([]byte(tried.text), &v); err != nil || tried.code != 0 || v.Outcome != ship.Pass || v.Rehearsal == nil || v.Rehearsal.Probes == 0 {
		t.Fatalf("exit code %d, %v: %s", tried.code, err, tried.text)
	}
	if r := v.Rehearsal; !strings.HasPrefix(r.Origin, "the backup of ") || !strings.Contains(strings.Join(r.Notes, " "), "00002_orders") || r.Smoke == nil || r.Smoke.Outcome != ship.Pass {
		t.Errorf("the copy was made of %q, %q, %+v", r.Origin, r.Notes, r.Smoke)
	}
	s.has("orders", "note", false) // only the copy has it
	if text := s.read("plan", "production"); !strings.Contains(text, "Rehearsed on a copy of") || !strings.Contains(text, "made of the backup of") || !strings.Contains(text, v.Reason) {
		t.Errorf("the plan does not show the rehearsal: %s", text)
	}
	passed := s.do("deploy", "production")
	passed.expect(t, 0, "", ship.SchemaChanged, 3)
	if text := s.read("explain", passed.Run); !strings.Contains(text, "Rehearsed on a copy of") || !strings.Contains(text, "way down: ") {
		t.Errorf("the run does not show the rehearsal: %s", text)
	}
	s.has("orders", "note", true)
	t.Logf("%s\n%s", refused.Reason, v.Reason)
}

// read runs a command that reads, and returns what it says to people.
func (p *project) read(args ...string) string {
	p.w.t.Helper()
	text, code := p.w.run(append(args, "--data", p.w.data, "-f", p.dir+"/shiplock.yaml")...)
	if code != 0 {
		p.w.t.Fatalf("shiplock %s ended with exit code %d: %s", strings.Join(args, " "), code, text)
	}
	return text
}
