package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

const (
	// fillPace is what makes a backfill as slow as the test needs it.
	fillPace = "-- +goose Up\nALTER TABLE orders ADD COLUMN note INTEGER;\nCREATE TABLE pace (n INTEGER NOT NULL);\nINSERT INTO pace VALUES (200000);\n-- +goose Down\nDROP TABLE pace;\nALTER TABLE orders DROP COLUMN note;\n"

	pacedFill = "-- shiplock: backfill table=orders key=key batch=5\nUPDATE orders SET note = (WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < (SELECT n FROM pace)) SELECT count(*) FROM c) WHERE note IS NULL AND :page;\n"
)

// fills says how far the backfills are.
func (p *project) fills(verb string) []wire.Backfill {
	p.w.t.Helper()
	out := p.ok("migrate", "backfill", verb, "production", "-o", "json")
	var all wire.Backfills
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&all); err != nil {
		p.w.t.Fatalf("%v: %s", err, out)
	}
	return all.Backfills
}

// sql changes the shop's database.
func (s *goShop) sql(statements ...string) {
	s.w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.database+"?_pragma=busy_timeout(10000)")
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			s.w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestGoABackfillIsLookedAtPausedAndResumedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newGoShop(t, newWorld(t), "1s")
	if out, code := s.cli("migrate", "backfill", "status", "production"); code == 0 || !strings.Contains(out, "nothing serves shop/production") || !strings.Contains(out, "shiplock deploy production") {
		t.Errorf("before the first deployment: exit code %d: %s", code, out)
	}
	if out, code := s.cli("migrate", "backfill", "status", "moon"); code != 2 {
		t.Errorf("an environment that is not there: exit code %d: %s", code, out)
	}
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	if out := s.ok("migrate", "backfill", "status", "production"); out != "v1 has no backfills.\n" {
		t.Errorf("a release without says %q", out)
	}

	// A deployment is at it: how far, how quick, how long still.
	const orders = 3000
	s.sql(fmt.Sprintf("INSERT INTO orders (key, product, release) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT 'k' || i, 1, 'v1' FROM n", orders))
	s.write("migrations/00003_pace.sql", fillPace, 0o644)
	s.write("backfills/1_note.sql", pacedFill, 0o644)
	s.version("2")
	if deployed := s.do("deploy", "production"); deployed.code != 0 || !strings.Contains(deployed.text, "v2 serves") || !strings.Contains(deployed.text, "its backfill goes on") {
		t.Errorf("deploy ended with %d: %s", deployed.code, tail(deployed.text, 2000))
	}
	s.w.eventually(time.Minute, "the backfill has seen rows", func() error {
		if all := s.fills("status"); len(all) != 1 || all[0].Status != "running" || all[0].Seen == 0 || all[0].Rate == 0 {
			return fmt.Errorf("it is %+v", all)
		}
		return nil
	})
	if out := s.ok("migrate", "backfill", "status", "production"); !strings.Contains(out, "backfills/1_note.sql") || !strings.Contains(out, "running") || !strings.Contains(out, "of about 3000") {
		t.Errorf("status says\n%s", out)
	}

	// Paused it stays where it is, until somebody resumes it.
	paused := s.fills("pause")[0]
	if again := s.fills("pause")[0]; again.Rows != paused.Rows {
		t.Errorf("it went on while it was paused: %+v, was %+v", again, paused)
	}
	if paused.Status != "paused" || !strings.HasPrefix(paused.Note, "paused by ") || paused.Rows == 0 || paused.Rows >= orders {
		t.Errorf("paused it is %+v", paused)
	}
	s.do("migrate", "backfill", "run", "production").expect(t, 0, "", ship.SchemaUnchanged, 2)
	if now := s.fills("status")[0]; now.Status != "paused" || now.Rows != paused.Rows {
		t.Errorf("run carried on what is paused: %+v, was %+v", now, paused)
	}
	s.sql("UPDATE pace SET n = 1")
	s.do("migrate", "backfill", "resume", "production").expect(t, 0, "", ship.SchemaUnchanged, 2)
	done := s.fills("status")[0]
	filled := s.rows("SELECT count(*) FROM orders WHERE note IS NOT NULL")[0]
	if slow := s.rows("SELECT count(*) FROM orders WHERE note > 1")[0]; done.Status != "done" || done.Rows != orders || filled != fmt.Sprint(orders) || slow != fmt.Sprint(paused.Rows) {
		t.Errorf("resumed it is %+v, %s of %d rows are filled, %s of them before the pause", done, filled, orders, slow)
	}

	// One that fails takes no deployment back, and says so when it is run by hand.
	s.write("backfills/2_wrong.sql", strings.Replace(pacedFill, "SET note", "SET nothing", 1), 0o644)
	s.version("3")
	s.do("deploy", "production", "--wait=watched").expect(t, 0, "", ship.SchemaUnchanged, 3)
	wrong := s.do("migrate", "backfill", "run", "production")
	wrong.expect(t, 10, ship.MigrationFailed, ship.SchemaUnchanged, 3)
	wrong.says(t, "2_wrong.sql", "nothing")
	if wrong.Next != "shiplock migrate backfill run production" {
		t.Errorf("next: %s", wrong.Next)
	}
	if all := s.fills("status"); len(all) != 2 || all[0].Status != "done" || all[1].Status != "stopped" || !strings.Contains(all[1].Note, "nothing") {
		t.Errorf("at the end they are %+v", all)
	}
}
