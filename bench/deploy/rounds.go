package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/shiplock/shiplock/internal/plan"
	"github.com/shiplock/shiplock/internal/ship"
	"github.com/shiplock/shiplock/internal/wire"
)

// What a deployment consists of besides its steps.
const (
	partBefore  = "command starts, packs, uploads"
	partBetween = "journal, between the steps"
	partAfter   = "the end is noticed, command ends"
)

// A lap is one timed thing after the other.
type lap struct {
	name string
	took time.Duration
}

// theirs tells whether a step's time is the application's own, or the time
// that a person asked it to take.
func theirs(step string) bool {
	return slices.Contains([]string{plan.Health, plan.Warmup, plan.Smoke, plan.Backup, plan.Migrate, plan.Watch}, step)
}

// measure deploys every project and runs the tools on it, turn by turn.
func (m *machine) measure(ctx context.Context, rounds int, progress io.Writer) (report, error) {
	r := newReport(rounds, m.projects)
	for round := range rounds + 1 {
		for i, p := range m.projects {
			deployed, tools, err := m.round(ctx, p, round)
			if err != nil {
				return r, fmt.Errorf("the %s tree: %w", p.name, err)
			}
			if round > 0 { // the first applied the migrations
				r.Trees[i].add(deployed, tools)
			}
		}
		fmt.Fprintf(progress, "round %d of %d\n", round, rounds)
	}
	return r, nil
}

// round measures one project once. Who goes first changes every round. What
// was written before is not for the next one to wait for.
func (m *machine) round(ctx context.Context, p *project, n int) (deployed, tools []lap, err error) {
	if err := p.release(n); err != nil {
		return nil, nil, err
	}
	turns := []func() error{
		func() (err error) { deployed, err = m.deploy(ctx, p); return err },
		func() (err error) { tools, err = m.tools(ctx, p); return err },
	}
	if n%2 == 0 {
		slices.Reverse(turns)
	}
	for _, turn := range turns {
		syscall.Sync()
		if err := turn(); err != nil {
			return nil, nil, err
		}
	}
	return deployed, tools, nil
}

// deploy deploys a project and says where the time went.
func (m *machine) deploy(ctx context.Context, p *project) ([]lap, error) {
	begun := time.Now()
	out, err := m.shiplock(ctx, "deploy", "-f", filepath.Join(p.dir, "shiplock.yaml"), "-o", "json")
	ended := time.Now()
	if err != nil {
		return nil, err
	}
	id, err := runOf(out)
	if err != nil {
		return nil, err
	}
	out, err = m.shiplock(ctx, "explain", id, "-o", "json")
	if err != nil {
		return nil, err
	}
	var j wire.Journal
	if err := json.Unmarshal(out, &j); err != nil {
		return nil, fmt.Errorf("read the journal of %s: %w", id, err)
	}
	return laps(j, begun, ended)
}

// runOf finds the run in the events of a deployment.
func runOf(events []byte) (string, error) {
	for dec := json.NewDecoder(bytes.NewReader(events)); ; {
		var e ship.Event
		if err := dec.Decode(&e); err != nil {
			return "", fmt.Errorf("the events have no end: %w", err)
		}
		if e.Type == ship.EventFinal {
			return e.Run, nil
		}
	}
}

// laps divides the time from begun to ended, all of it.
func laps(j wire.Journal, begun, ended time.Time) ([]lap, error) {
	if len(j.Entries) == 0 {
		return nil, fmt.Errorf("the journal of %s is empty", j.Run.ID)
	}
	last := j.Run.CreatedAt
	parts := []lap{{partBefore, last.Sub(begun)}}
	var between time.Duration
	for _, e := range j.Entries {
		if e.State != ship.StepDone {
			return nil, fmt.Errorf("step %s of %s is %s", e.Name, j.Run.ID, e.State)
		}
		if e.StartedAt.Before(last) {
			continue // who was told, within the step before it
		}
		between += e.StartedAt.Sub(last)
		parts = append(parts, lap{e.Name, e.EndedAt.Sub(e.StartedAt)})
		last = e.EndedAt
	}
	return append(parts, lap{partBetween, between}, lap{partAfter, ended.Sub(last)}), nil
}
