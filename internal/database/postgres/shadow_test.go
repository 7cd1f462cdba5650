package postgres_test

import (
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/database"
	"github.com/shiplock/shiplock/internal/database/postgres"
	"github.com/shiplock/shiplock/internal/plugin"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/testneed"
)

func shadowOf(t *testing.T, u string) (*postgres.DB, database.Shadow) {
	t.Helper()
	db, err := postgres.New(database.Config{URL: ship.NewSecret(u)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.Shadow(t.Context(), database.ShadowOptions{App: ship.NewSecret(u)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Drop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return db, s
}

// shadowsOf lists the databases that are copies of u's.
func shadowsOf(t *testing.T, db *postgres.DB) int {
	t.Helper()
	name := db.Name()[strings.LastIndexByte(db.Name(), '/')+1:]
	rows, err := db.Rows(t.Context(), "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", name+"_rehearsal_")
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func TestAShadowHasSchemaAndRowsAndIsAnotherDatabase(t *testing.T) {
	u := testneed.Postgres(t)
	populate(t, u, "CREATE TABLE thing (id bigserial PRIMARY KEY, name varchar(9) NOT NULL); INSERT INTO thing (name) SELECT n FROM generate_series(1, 30) n")
	db, s := shadowOf(t, u)
	rows, err := s.Rows(t.Context(), "SELECT count(*) FROM thing")
	if err != nil || rows[0][0] != "30" {
		t.Fatalf("the copy has %v rows, %v", rows, err)
	}
	clone, err := s.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := shadowsOf(t, db); got != 2 {
		t.Errorf("%d copies, want the shadow and its clone", got)
	}
	session, err := clone.App(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Try(t.Context(), true, "DELETE FROM thing"); err != nil {
		t.Fatal(err)
	}
	_ = session.Close(t.Context())
	sums, err := s.Sums(t.Context(), []database.Table{{Name: "thing", Ident: "thing", Columns: []database.Column{{Ident: "id"}, {Ident: "name"}}}})
	if err != nil || sums["thing"].Rows != 30 {
		t.Errorf("what was done to the clone shows in the shadow: %+v, %v", sums, err)
	}
	for range 2 {
		if err := clone.Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := shadowsOf(t, db); got != 1 {
		t.Errorf("%d copies after the clone was dropped", got)
	}
}

func populate(t *testing.T, u, sql string) {
	t.Helper()
	exec(t, app(t, u), "%s", sql)
}

func TestALargeDatabaseIsNotCopied(t *testing.T) {
	u := testneed.Postgres(t)
	db, err := postgres.New(database.Config{URL: ship.NewSecret(u)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Shadow(t.Context(), database.ShadowOptions{MaxSize: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "at most 1 MiB") || ship.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if got := shadowsOf(t, db); got != 0 {
		t.Errorf("%d copies are there", got)
	}
}

// TestMain lets this binary be the rehearsal that is killed.
func TestMain(m *testing.M) {
	if u := os.Getenv("SHIPLOCK_TEST_SHADOW_OF"); u != "" {
		db, err := postgres.New(database.Config{URL: ship.NewSecret(u)}, plugin.Deps{})
		if err == nil {
			_, err = db.Shadow(context.Background(), database.ShadowOptions{})
		}
		fmt.Println("made", err)
		select {}
	}
	os.Exit(m.Run())
}

func TestTheCopyOfARehearsalThatWasKilledIsDroppedByTheNext(t *testing.T) {
	u := testneed.Postgres(t)
	child := another(t, u)
	db, err := postgres.New(database.Config{URL: ship.NewSecret(u)}, plugin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = shadowOf(t, u) // a living one is left alone
	if got := shadowsOf(t, db); got != 2 {
		t.Fatalf("%d copies, want that of the other process and ours", got)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	// The server notices the end of a session a moment later.
	for end := time.Now().Add(20 * time.Second); ; {
		s, err := db.Shadow(t.Context(), database.ShadowOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Drop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if shadowsOf(t, db) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d copies are left", shadowsOf(t, db))
		}
	}
}

// another starts this binary as a rehearsal and waits until its copy is there.
func another(t *testing.T, u string) *osexec.Cmd {
	t.Helper()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SHIPLOCK_TEST_SHADOW_OF="+u)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil || strings.TrimSpace(string(line[:n])) != "made <nil>" {
		t.Fatalf("the other process says %q, %v", line[:n], err)
	}
	return cmd
}
