package testneed_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/shiplock/shiplock/internal/testneed"
)

func TestPostgresIsADatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		conn, err := pgx.Connect(t.Context(), testneed.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if _, err := conn.Exec(t.Context(), "CREATE TABLE only_here (id int)"); err != nil {
			t.Error(err)
		}
	}
}
