package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/testneed"
)

func TestOpenTransactionsAreToldWithWhoHasThemAndTheTablesTheyUse(t *testing.T) {
	u := testneed.Postgres(t)
	exec(t, app(t, u), "CREATE TABLE product (id integer); CREATE TABLE other (id integer)")
	report := connectAs(t, u, "nightly report")
	if _, err := report.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM product"); err != nil {
		t.Fatal(err)
	}
	db := open(t, u)
	var found []database.Transaction
	poll(t, func() bool {
		var err error
		if found, err = db.OpenTransactions(t.Context(), 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		return len(found) > 0
	})
	one := found[0]
	if len(found) != 1 || one.PID != int64(report.PgConn().PID()) || one.Application != "nightly report" || one.User != "postgres" || one.State != "idle in transaction" ||
		one.Age < 300*time.Millisecond || one.Query.IsZero() || !one.Snapshot || !slices.Equal(one.Tables, []string{"public.product"}) {
		t.Errorf("found %+v", found)
	}
	if !one.Uses([]string{"sale", "product"}) || one.Uses([]string{"other"}) {
		t.Errorf("uses %v", one.Tables)
	}
	if text := one.String(); !strings.Contains(text, "(nightly report, user postgres, idle in transaction)") || !strings.Contains(text, "whose last statement began at") {
		t.Errorf("it is told as %q", text)
	}
	if found, err := db.OpenTransactions(t.Context(), time.Hour); err != nil || len(found) > 0 {
		t.Errorf("older than an hour: %v, %v", found, err)
	}
}
