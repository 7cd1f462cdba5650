package deploy_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/shiplock/shiplock/internal/notify"
	"github.com/shiplock/shiplock/internal/ship"
)

// notified has a channel that wants to hear everything.
func notified(s *stage) { s.env.Notify = []ship.Notify{{Plugin: ship.Plugin{Kind: "channel"}}} }

// killed carries a run until the named moment, where everything the server
// knew besides its state is lost, and then lets another server carry it on.
func killed(s *stage, id string, arm func(kill func())) ship.Result {
	s.t.Helper()
	ctx, kill := context.WithCancel(s.t.Context())
	arm(kill)
	if _, err := s.engine.Carry(ctx, id); err == nil {
		s.t.Fatal("the run ended although the server was killed")
	}
	s.channel.then, s.journal.after = nil, nil
	return s.carry(id)
}

func TestASuccessThatWasTellingWhenTheServerDiedIsNotToldTwice(t *testing.T) {
	s := newStage(t, notified)
	run := s.add(firstRelease(s))
	r := killed(s, run.ID, func(kill func()) {
		s.channel.then = func() error { kill(); return context.Canceled }
	})
	if r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	if want := []string{notify.TopicSuccess}; !slices.Equal(s.channel.told, want) {
		t.Errorf("told %v, want %v", s.channel.told, want)
	}
}

func TestAFailureThatWasRecordedAsSentIsNotToldTwice(t *testing.T) {
	s := newStage(t, notified)
	run := s.add(firstRelease(s))
	s.platform.away, s.platform.refuse = "prepare", true
	s.journal.broken = func(ship.Status) error { return errors.New("disk is full") }
	if _, err := s.engine.Carry(t.Context(), run.ID); err == nil {
		t.Fatal("the run ended although its end could not be recorded")
	}
	s.journal.broken = nil
	if r := s.carry(run.ID); r.Status != ship.Broken {
		t.Fatal(r.Reason)
	}
	if want := []string{notify.TopicFailure}; !slices.Equal(s.channel.told, want) {
		t.Errorf("told %v, want %v: it was recorded as sent", s.channel.told, want)
	}
}

func TestAFailureIsToldAgainWhereNobodyKnowsWhetherItWasSent(t *testing.T) {
	s := newStage(t, notified)
	run := s.add(firstRelease(s))
	s.platform.away, s.platform.refuse = "prepare", true
	s.journal.unsent = true
	s.journal.lost = true
	s.journal.broken = func(ship.Status) error { return errors.New("killed") }
	if _, err := s.engine.Carry(t.Context(), run.ID); err == nil {
		t.Fatal("the run ended although the server was killed")
	}
	s.journal.broken, s.journal.unsent, s.journal.lost = nil, false, false
	if r := s.carry(run.ID); r.Status != ship.Broken {
		t.Fatal(r.Reason)
	}
	if want := []string{notify.TopicFailure, notify.TopicFailure}; !slices.Equal(s.channel.told, want) {
		t.Errorf("told %v, want %v", s.channel.told, want)
	}
}

func TestAPausedRunIsTold(t *testing.T) {
	s := newStage(t, notified)
	if r := s.deploy(firstRelease(s)); r.Status != ship.Passed {
		t.Fatal(r.Reason)
	}
	r := s.deploy(s.release("sha256:2", map[string]string{"00001_init.sql": initial, "00002_vat.sql": halfWay}))
	if r.Status != ship.Paused {
		t.Fatalf("the run ended as %s: %s", r.Status, r.Reason)
	}
	if want := []string{notify.TopicSuccess, notify.TopicFailure}; !slices.Equal(s.channel.told, want) {
		t.Errorf("told %v, want %v", s.channel.told, want)
	}
}
