package deploy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shiplock/shiplock/internal/ship"
)

func TestAWaitForTheMigrationLockNamesWhoHoldsItAndHowLongItTook(t *testing.T) {
	s := newStage(t)
	r := firstRelease(s)
	run := s.add(r)
	// A container that migrates as it starts has the lock with the same epoch.
	lock, err := s.open().Lock(t.Context(), ship.Fence{Run: "start-7", Epoch: 1}, "container 7")
	if err != nil {
		t.Fatal(err)
	}
	// The claim asks for an epoch above the one seen; ours is the same only
	// when the container took its turn after that.
	s.platform.granted = 1
	ended := make(chan ship.Result)
	go func() {
		res, _ := s.engine.Carry(context.WithoutCancel(t.Context()), run.ID)
		ended <- res
	}()
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(s.said(run.ID, ship.EventProgress), "container 7 holds the migration lock") {
		if time.Now().After(deadline) {
			t.Fatalf("nobody said who has the lock:\n%s", s.said(run.ID, ship.EventProgress))
		}
		<-time.After(20 * time.Millisecond)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := <-ended; res.Status != ship.Passed {
		t.Fatalf("the run ended as %s: %s", res.Status, res.Reason)
	}
	if !strings.Contains(s.said(run.ID, ship.EventNote), "the migration lock was free after") {
		t.Errorf("nobody said how long it took:\n%s", s.said(run.ID, ship.EventNote))
	}
}
