package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

// send sends a statement as the application does.
func send(t *testing.T, url, query string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func TestOnPostgreSQLAContractWaitsForStatementsAndForWhatDependsOnIt(t *testing.T) {
	url := testneed.Postgres(t)
	send(t, url, "CREATE EXTENSION pg_stat_statements")
	s := newStage(t, func(s *stage) {
		s.env.Database = &ship.Database{Kind: "postgres", URL: ship.Value(url), Backup: ship.Backup{Kind: "none", Reason: "a test"}}
		s.env.Migrate.ContractAfter = 28 * 24 * time.Hour
	})
	files := map[string]string{"00001_init.sql": initial}
	if r := s.deploy(s.release("sha256:1", files)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	send(t, url, "SELECT id, note FROM orders") // as v1 did before
	files["00002_total.sql"], files["00003_drop_note.sql"] = totalUpDown, dropNote
	next := s.release("sha256:2", files)
	if r := s.deploy(next); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	s.stopOld()
	reason := func(want ...string) {
		t.Helper()
		r := s.deploy(next, toContract())
		for _, w := range want {
			if r.Kind != ship.Refused || !strings.Contains(r.Reason, w) {
				t.Errorf("it does not say %q: %s: %s", w, r.Kind, r.Reason)
			}
		}
	}
	reason("window is not met", "unused cannot be known: none of the", "it will be met at")

	// What does not name the column changes nothing; what does is shown.
	send(t, url, "SELECT count(*) FROM orders")
	reason("unused cannot be known")
	send(t, url, "SELECT o.* FROM orders AS o WHERE id = 7")
	reason("unused is not met: 1 calls", "SELECT o.* FROM orders AS o")

	// Views and functions that need it.
	send(t, url, "CREATE VIEW noted AS SELECT note FROM orders")
	send(t, url, "CREATE FUNCTION notes() RETURNS bigint LANGUAGE sql AS 'SELECT count(note) FROM orders'")
	reason("independent is not met", "view noted needs column orders.note", "function notes() names column orders.note in its code")
	send(t, url, "DROP VIEW noted; DROP FUNCTION notes()")

	// Statistics that were thrown away prove nothing.
	send(t, url, "SELECT pg_stat_statements_reset()")
	req := ship.Request{Environment: s.env, Release: next, By: "ann"}
	toContract()(&req)
	p, err := s.engine.Plan(t.Context(), req, func(string) {})
	if err != nil || len(p.Waiting) != 1 {
		t.Fatalf("%v, %+v", err, p)
	}
	i := slices.IndexFunc(p.Waiting[0].Conditions, func(c ship.Condition) bool { return c.Name == plan.Unused })
	if i < 0 || p.Waiting[0].Conditions[i].State != ship.NotMet || !strings.Contains(p.Waiting[0].Conditions[i].Next, "was reset") {
		t.Errorf("after a reset: %+v", p.Waiting[0].Conditions)
	}

	if r := s.deploy(next, toContract(override("it holds personal data"))); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	rows, err := s.open().Rows(t.Context(), "SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1")
	if err != nil || len(rows) != 2 || rows[0][0] != "id" || rows[1][0] != "total" {
		t.Errorf("the columns are %v, %v", rows, err)
	}
}

func TestOnPostgreSQLAColumnThatHasToBeWrittenDoesNotWait(t *testing.T) {
	url := testneed.Postgres(t)
	s := newStage(t, func(s *stage) {
		s.env.Database = &ship.Database{Kind: "postgres", URL: ship.Value(url), Backup: ship.Backup{Kind: "none", Reason: "a test"}}
	})
	files := map[string]string{"00001_init.sql": strings.Replace(initial, "note text", "note text NOT NULL", 1)}
	if r := s.deploy(s.release("sha256:1", files)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	files["00003_drop_note.sql"] = dropNote
	if r := s.deploy(s.release("sha256:2", files)); r.Kind != ship.Refused || !strings.Contains(r.Reason, "column orders.note is NOT NULL without a default") || !strings.Contains(r.Next, "let it be NULL") {
		t.Errorf("%s: %s; %s", r.Kind, r.Reason, r.Next)
	}
	files["00002_relax.sql"] = "-- +goose Up\nALTER TABLE orders ALTER COLUMN note DROP NOT NULL;\n"
	if r := s.deploy(s.release("sha256:3", files)); r.Status != ship.Passed || !strings.Contains(strings.Join(r.Notes, " "), "00003_drop_note waits") {
		t.Errorf("%s: %s; %v", r.Kind, r.Reason, r.Notes)
	}
}

func TestOnPostgreSQLWhatAContractDropsItselfDoesNotHoldItBack(t *testing.T) {
	url := testneed.Postgres(t)
	s := newStage(t, func(s *stage) {
		s.env.Database = &ship.Database{Kind: "postgres", URL: ship.Value(url), Backup: ship.Backup{Kind: "none", Reason: "a test"}}
	})
	files := map[string]string{"00001_init.sql": initial}
	if r := s.deploy(s.release("sha256:1", files)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	files["00002_remark.sql"] = `-- shiplock: phase=expand reason="kept in step by a trigger"
-- +goose Up
ALTER TABLE orders ADD COLUMN remark text;
-- +goose StatementBegin
CREATE FUNCTION in_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.remark := NEW.note; RETURN NEW; END $$;
-- +goose StatementEnd
CREATE TRIGGER in_step BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION in_step();
-- +goose Down
DROP TRIGGER in_step ON orders;
DROP FUNCTION in_step();
ALTER TABLE orders DROP COLUMN remark;
`
	const dropsAll = "-- shiplock: phase=contract reason=\"every release uses remark\"\n-- +goose Up\nDROP TRIGGER in_step ON orders;\nDROP FUNCTION in_step();\n"
	files["00003_note.sql"] = "-- shiplock: phase=contract reason=\"every release uses remark\"\n-- +goose Up\nALTER TABLE orders DROP COLUMN note;\n"
	next := s.release("sha256:2", files)
	if r := s.deploy(next); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	s.stopOld()
	if r := s.deploy(next, toContract()); r.Kind != ship.Refused || !strings.Contains(r.Reason, "function in_step() names column orders.note in its code") {
		t.Errorf("%s: %s", r.Kind, r.Reason)
	}
	files["00003_note.sql"] = dropsAll + "ALTER TABLE orders DROP COLUMN note;\n"
	next = s.release("sha256:3", files)
	if r := s.deploy(next); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	s.stopOld()
	if r := s.deploy(next, toContract(override("no statements are counted here"))); r.Status != ship.Passed || strings.Contains(strings.Join(r.Notes, " "), "independent") {
		t.Errorf("%s: %s, %v", r.Kind, r.Reason, r.Notes)
	}
}
