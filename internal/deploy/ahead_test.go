package deploy_test

import (
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/ship"
)

func TestWhatNoReleaseUsesMayGoAndWhatOneUsesMayNot(t *testing.T) {
	files := func() map[string]string { return map[string]string{"00002_vat.sql": vatUp + vatDown} }
	more := func() map[string]string {
		return map[string]string{
			"00001_init.sql": initial, "00002_vat.sql": vatUp + vatDown,
			"00003_gone.sql": "-- +goose Up\nALTER TABLE orders DROP COLUMN vat;\n-- +goose Down\nALTER TABLE orders ADD COLUMN vat integer;\n",
		}
	}
	// v1 serves. The column is in the database, and v2, which has it, never served.
	s, _ := migrated(t, files())
	if r := s.deploy(s.release("sha256:3", more())); r.Status != ship.Passed || r.Serving != 3 || slices.Contains(s.columns("orders"), "vat") {
		t.Errorf("the run ended as %s: %s; columns %v", r.Status, r.Reason, s.columns("orders"))
	}
	// Here v2 served, and somebody may go back to it although v1 serves again.
	s, next := migrated(t, files())
	for _, r := range []ship.Release{next, firstRelease(s)} {
		if r := s.deploy(r); r.Status != ship.Passed {
			t.Fatal(r.Reason)
		}
	}
	r := s.deploy(s.release("sha256:3", more()))
	if r.Status != ship.Passed || r.Schema != ship.SchemaUnchanged || !slices.Contains(s.columns("orders"), "vat") {
		t.Errorf("the run ended as %s (%s), schema %s: %s; columns %v", r.Status, r.Kind, r.Schema, r.Reason, s.columns("orders"))
	}
}
