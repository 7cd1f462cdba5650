// Package gatetest holds what every gate must satisfy: a gate's test file is
// one call of [Run] and what is its own.
package gatetest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/shiplock/shiplock/internal/gate"
	"github.com/shiplock/shiplock/internal/ship"
)

// A Harness opens a gate with a candidate for each way a judgement can go.
type Harness struct {
	Pass   func(t *testing.T) (gate.Gate, gate.Candidate)
	Fail   func(t *testing.T) (gate.Gate, gate.Candidate)
	Broken func(t *testing.T) (gate.Gate, gate.Candidate) // cannot judge; nil when there is no such way
}

// maxReason keeps a reason readable as one sentence.
const maxReason = 1000

// Run checks a gate.
func Run(t *testing.T, h Harness) {
	t.Run("it passes, and again when it is asked again", func(t *testing.T) {
		g, c := h.Pass(t)
		for range 2 {
			judged(t, g, c, ship.Pass)
		}
	})
	t.Run("it fails with a reason, and again when it is asked again", func(t *testing.T) {
		g, c := h.Fail(t)
		for range 2 {
			judged(t, g, c, ship.Fail)
		}
	})
	t.Run("what cannot be judged is an error and no pass", func(t *testing.T) {
		if h.Broken == nil {
			t.Skip("the gate can always judge")
		}
		g, c := h.Broken(t)
		v, err := g.Judge(t.Context(), c)
		if err == nil || v.Outcome == ship.Pass {
			t.Errorf("Judge() = %+v, %v; want an error and no pass", v, err)
		}
	})
	t.Run("a context that has ended is no pass", func(t *testing.T) {
		g, c := h.Pass(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if v, err := g.Judge(ctx, c); err == nil || v.Outcome == ship.Pass {
			t.Errorf("Judge() = %+v, %v; want an error and no pass", v, err)
		}
	})
	t.Run("candidates can be judged at once", func(t *testing.T) {
		g, c := h.Pass(t)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { judged(t, g, c, ship.Pass) })
		}
		wg.Wait()
	})
}

func judged(t *testing.T, g gate.Gate, c gate.Candidate, want ship.Outcome) {
	t.Helper()
	v, err := g.Judge(t.Context(), c)
	if err != nil || v.Outcome != want {
		t.Errorf("Judge() = %+v, %v; want %s", v, err, want)
	}
	if v.Reason == "" || len(v.Reason) > maxReason || strings.ContainsFunc(v.Reason, unicode.IsControl) {
		t.Errorf("the reason is %d bytes, %q: want one line of 1 to %d bytes without control characters", len(v.Reason), v.Reason, maxReason)
	}
}

// Candidate returns a candidate in a folder of its own, whose commands are
// really run. Nothing of an earlier release is kept.
func Candidate(t *testing.T) gate.Candidate {
	t.Helper()
	dir := t.TempDir()
	return gate.Candidate{
		Run: "d-7", Name: "e2e", Dir: dir, Timeout: time.Minute,
		Release: ship.Release{App: "shop", Number: 42},
		File: func(_ context.Context, path string) ([]byte, error) {
			return os.ReadFile(filepath.Join(dir, path))
		},
		Earlier:  func(context.Context, string) ([]byte, error) { return nil, fs.ErrNotExist },
		Progress: func(string, ...ship.Figure) {},
		Command: func(ctx context.Context, argv ship.Argv) (int, string, error) {
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); ok && ctx.Err() == nil {
				return exit.ExitCode(), string(out), nil
			}
			return 0, string(out), err
		},
	}
}
