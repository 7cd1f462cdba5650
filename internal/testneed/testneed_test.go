package testneed_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/testneed"
)

func TestPostgresIsADatabaseOfItsOwn(t *testing.T) {
	first, second := testneed.Postgres(t), testneed.Postgres(t)
	makeTable(t, first)
	makeTable(t, second)
}

func makeTable(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE only_here (id int)"); err != nil {
		t.Error(err)
	}
}
