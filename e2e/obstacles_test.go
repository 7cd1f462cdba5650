package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestAMigrationThatRowsAreInTheWayOfIsNotBegunAndTheRowsAreNamed(t *testing.T) {
	t.Parallel()
	database := testneed.Postgres(t)
	c := newContainer(t, "postgres", database, twoSteps)
	if out, code := c.start("--migrate-only").ended(); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	rows(t, database, "INSERT INTO shops (id, name) VALUES (1, 'a'), (2, NULL), (3, NULL) RETURNING id::text")
	c.write("migrations/00003_name.sql", "-- shiplock: phase=expand reason=\"every release fills it\"\n-- +goose Up\nALTER TABLE shops ALTER COLUMN name SET NOT NULL;\n-- +goose Down\nALTER TABLE shops ALTER COLUMN name DROP NOT NULL;\n")
	out, code := c.start("--migrate-only").ended()
	if code != 10 || !strings.Contains(out, "00003_name cannot succeed: 2 rows of shops have name NULL (00003_name, line 3)") {
		t.Errorf("exit code %d: %s", code, out)
	}
	steps(t, database) // as before, and nothing is recorded as begun

	rows(t, database, "UPDATE shops SET name = 'b' WHERE name IS NULL RETURNING id::text")
	if out, code := c.start("--migrate-only").ended(); code != 0 {
		t.Errorf("when they were mended: exit code %d: %s", code, out)
	}
}

// nightly is a report that reads in a transaction and keeps it open until it is
// told to commit.
func nightly(t *testing.T, database, reads string) (commit func()) {
	t.Helper()
	report, err := pgx.Connect(t.Context(), database+"&application_name=nightly")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = report.Close(context.Background()) })
	if _, err := report.Exec(t.Context(), "BEGIN; "+reads); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := report.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMigrationThatDoesNotGetItsLockIsTriedAgainWhileOthersGoOn(t *testing.T) {
	t.Parallel()
	database := testneed.Postgres(t)
	c := newContainer(t, "postgres", database, twoSteps)
	if out, code := c.start("--migrate-only").ended(); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	commit := nightly(t, database, "SELECT * FROM shops")
	c.write("migrations/00003_town.sql", "-- +goose Up\nALTER TABLE shops ADD COLUMN town text;\n-- +goose Down\nALTER TABLE shops DROP COLUMN town;\n")
	st := c.start("--migrate-only")
	st.until("it is tried again", func() bool { return strings.Contains(st.out.String(), "try 3 is in") })
	if !strings.Contains(st.out.String(), "nightly") {
		t.Errorf("it does not say who has the lock: %s", st.out.String())
	}
	commit()
	if out, code := st.ended(); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestAMigrationIsNotBegunBehindATransactionThatHasBeenOpenForLong(t *testing.T) {
	t.Parallel()
	database := testneed.Postgres(t)
	c := newContainer(t, "postgres", database, twoSteps)
	if out, code := c.start("--migrate-only").ended(); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	commit := nightly(t, database, "SELECT * FROM shops")
	c.write("migrations/00003_other.sql", "-- +goose Up\nCREATE TABLE other (id int);\n-- +goose Down\nDROP TABLE other;\n")
	c.write("migrations/00004_town.sql", "-- +goose Up\nALTER TABLE shops ADD COLUMN town text;\n-- +goose Down\nALTER TABLE shops DROP COLUMN town;\n")
	old := "SELECT 'old' FROM pg_stat_activity WHERE application_name = 'nightly' AND xact_start < clock_timestamp() - interval '61 seconds'"
	for deadline := time.Now().Add(3 * time.Minute); len(rows(t, database, old)) == 0; <-time.After(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("the transaction does not grow old")
		}
	}
	st := c.start("--migrate-only")
	st.until("it says who is in the way", func() bool {
		return strings.Contains(st.out.String(), "a transaction that has been open for long") && strings.Contains(st.out.String(), "(nightly, user postgres, idle in transaction), in a transaction for 1m")
	})
	if got := rows(t, database, "SELECT tablename::text FROM pg_tables WHERE tablename = 'other'"); len(got) > 0 {
		t.Error("the migration before it was carried out")
	}
	commit()
	if out, code := st.ended(); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestAToolThatDoesNotGetItsLockIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := newFlaskShop(t)
	s.do("deploy", "production").expect(t, 0, "", ship.SchemaChanged, 1)
	commit := nightly(t, s.database, "SELECT * FROM product")
	s.next("additive")
	deploy := s.begin("deploy", "production")
	waiting := map[string]bool{}
	for deadline := time.Now().Add(3 * time.Minute); len(waiting) < 2; <-time.After(50 * time.Millisecond) {
		for _, pid := range rows(t, s.database, "SELECT pid::text FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'") {
			waiting[pid] = true
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited: %v", waiting)
		}
	}
	s.subtitle(false)
	commit()
	deploy.wait().expect(t, 0, "", ship.SchemaChanged, 2)
	s.subtitle(true)
	s.answers("/products/", "2")
}
