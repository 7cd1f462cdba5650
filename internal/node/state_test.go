package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

func TestAChangeThatIsInsistedOnDoesNotWaitForTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f, err := loadState(path)
	if err != nil {
		t.Fatal(err)
	}
	id := ship.EnvironmentID{App: "shop", Name: "production"}
	set := func(m ship.Mode) func(*envState) error {
		return func(s *envState) error { s.Mode = modeState{Mode: m}; return nil }
	}
	// A folder with something in it cannot be replaced by a file.
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.change(id, set(ship.Holding)); err == nil || f.env(id) != nil {
		t.Fatalf("a change that was not written: %v, and %v is in force", err, f.env(id))
	}
	if err := f.insist(id, set(ship.Maintenance)); !errors.Is(err, errOwed) {
		t.Fatalf("insist: %v, want errOwed", err)
	}
	if got := f.env(id).Mode.Mode; got != ship.Maintenance {
		t.Errorf("%s is in force, want maintenance", got)
	}
	if err := f.pay(); err == nil {
		t.Error("it was paid to a disk that takes nothing")
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := f.pay(); err != nil {
		t.Fatal(err)
	}
	again, err := loadState(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.env(id); got == nil || got.Mode.Mode != ship.Maintenance {
		t.Errorf("on the disk is %v, want maintenance", got)
	}
}

func TestTheListenersStayWhileAPageIsShownAndEverythingIsStopped(t *testing.T) {
	id := ship.EnvironmentID{App: "shop", Name: "production"}
	stopped := func() *slotState {
		s := &slotState{Stopped: true, Since: time.Now()}
		s.Spec.Environment.Route.Listen = []string{"127.0.0.1:80"}
		return s
	}
	for mode, want := range map[ship.Mode]bool{ship.Serving: false, ship.Holding: true, ship.Maintenance: true} {
		e := &envState{ID: id, Mode: modeState{Mode: mode}, Slots: map[ship.Slot]*slotState{ship.Blue: stopped(), ship.Green: stopped()}}
		p := &proxies{state: &stateFile{now: &state{Environments: map[string]*envState{id.String(): e}}}}
		if got := p.wanted()["127.0.0.1:80"]; got != want {
			t.Errorf("%s: the listener is wanted: %t, want %t", mode, got, want)
		}
	}
}
