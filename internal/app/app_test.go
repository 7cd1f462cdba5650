package app_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/shiplock/shiplock/internal/app"
	"github.com/shiplock/shiplock/internal/ship"
)

func TestOneStateHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	o := app.Options{Dir: dir, Version: "test", Log: slog.New(slog.DiscardHandler)}
	first, err := app.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Open(t.Context(), o); ship.KindOf(err) != ship.Locked {
		t.Errorf("a second owner: %v, want it told that the state is in use", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := app.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("after the first had gone: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOurOwnStateIsOursAlone(t *testing.T) {
	dir := t.TempDir()
	a, err := app.Open(t.Context(), app.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	err = filepath.WalkDir(filepath.Join(dir, "server"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && d.IsDir() && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may look into %s (%s)", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStartRefusesAProcessThereIsNot(t *testing.T) {
	env := ship.Environment{ID: ship.EnvironmentID{App: "shop", Name: "production"}, Run: ship.RunSettings{Processes: map[string]ship.Process{ship.Web: {}}}}
	err := app.Start(t.Context(), app.Options{Log: slog.New(slog.DiscardHandler)}, app.StartOptions{Environment: env, Process: "wbe"})
	if ship.KindOf(err) != ship.Invalid {
		t.Errorf("%v, want a refusal", err)
	}
}
